// Package awsiam turns what the AWS command line says about an account into
// records: what runs, which role it runs as, which policies that role holds, and
// what those policies reach.
//
// The files of one import are the lists of one account in any order: the dump of
// aws iam get-account-authorization-details, and beside it the functions,
// instances, buckets, databases and secrets. They are read first and resolved
// afterwards, since a function in one file names a role in another.
//
// # What becomes what
//
//	workload   ARN without a version    a Lambda function
//	           instance id              an EC2 instance
//	identity   ARN                      a role, a user
//	role       ARN                      a managed policy, a group
//	           ARN of the holder|name   an inline policy
//	resource   pattern as written       what a statement names
//	           service|*                what a statement with the resource "*" reaches
//	           ARN                      a bucket, a database, a secret
//
// # How authority is resolved
//
//   - A policy grants what its Allow statements name. An action goes with the
//     resources of its own service.
//   - A Deny without a condition takes away what it covers, from every policy of
//     the identity. Where it covers a part only, or has a condition, what is
//     allowed stays.
//   - A trust policy that names an identity of the account, or anybody, lets that
//     identity become the role. One that names the account lets those become the
//     role that their own policies allow to.
//   - Wildcards are kept as they are written. A pattern is a destination of its
//     own and no path to each listed resource that it fits.
//
// What cannot be evaluated (conditions, boundaries, NotAction, NotResource,
// variables, service control policies) never takes authority away. It is named in
// a warning and makes what is known of the identity's roles partial.
package awsiam
