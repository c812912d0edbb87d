// Package cloudtrail turns the records of AWS CloudTrail into records: which
// users and roles acted, what they called, how often on which day, and which
// workloads sent data to a language model.
//
// The log is what CloudTrail delivers ({"Records": [...]}), a list of its events
// or an event to a line. It is evidence of presence only;
// docs/formats/cloudtrail.md says what is concluded.
//
//   - An identity is a user or a role, by its ARN, in the system of its account.
//     Whoever acts as a role is the role.
//   - A call that was denied, or that failed before anybody could tell, is no
//     evidence. One that failed for another reason is: it had been allowed.
//   - A workload is certain only where AWS says that the credentials were issued to
//     it: a Lambda function by the scope of the request, an EC2 instance by the
//     delivery of its role. The name of a session proves nothing by itself, since
//     whoever assumes a role chooses it. Evidence names functions; instances come
//     and go too fast for that.
//   - Evidence names no destination: which statement of a policy allowed a call,
//     and which destinations exist, a log does not say.
package cloudtrail
