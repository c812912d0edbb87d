package rule_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/exposuregraph/exposuregraph/internal/exposure/rule"
)

func TestWrites(t *testing.T) {
	t.Parallel()
	for system, words := range map[string]struct{ writes, not []string }{
		"Kubernetes": {
			writes: []string{"*", "create", "update", "patch", "delete", "deletecollection", "escalate", "bind", "impersonate", "approve", "sign"},
			not:    []string{"get", "list", "watch", "use"},
		},
		"AWS": {
			writes: []string{
				"s3:PutObject", "s3:DeleteObject", "s3:*", "*:*", "iam:PassRole", "iam:AttachRolePolicy", "iam:CreateAccessKey", "sts:AssumeRole",
				"ec2:RunInstances", "ec2:TerminateInstances", "dynamodb:BatchWriteItem", "dynamodb:TransactWriteItems", "cognito-idp:AdminDeleteUser",
				"s3:P*", "s3:Create*", "s3:*Object", "tag:TagResources", "s3:BypassGovernanceRetention", "sqs:SendMessage",
			},
			not: []string{
				"s3:GetObject", "s3:Get*", "s3:ListBucket", "s3:ListBucketMultipartUploads", "ec2:DescribeLaunchTemplates", "tag:GetResources",
				"dynamodb:BatchGetItem", "dynamodb:TransactGetItems", "cognito-idp:AdminGetUser", "lex:GetImport", "s3:GetBucketPublicAccessBlock",
				"kms:Decrypt", "lambda:InvokeFunction", "logs:FilterLogEvents", "s3:Get*Policy",
			},
		},
		"Microsoft Graph": {
			writes: []string{
				"Directory.ReadWrite.All", "Application.ReadWrite.OwnedBy", "Mail.Send", "Sites.FullControl.All", "Sites.Manage.All",
				"User.Invite.All", "Policy.ReadWrite.PermissionGrant", "ConsentRequest.ReadApprove.All", "Group.Create", "Calendars.ReadWrite",
			},
			not: []string{
				"User.Read.All", "User.Read", "User.ReadBasic.All", "Policy.Read.PermissionGrant", "RoleManagement.Read.Directory",
				"Files.Read.Selected", "AuditLog.Read.All", "openid", "offline_access", "User.Export.All",
			},
		},
		"Azure": {
			writes: []string{
				"Microsoft.Storage/storageAccounts/write", "Microsoft.Authorization/locks/delete", "Microsoft.Authorization/*", "Microsoft.Search/*",
				"Microsoft.Compute/virtualMachines/start/action",
			},
			not: []string{"*/read", "Microsoft.Authorization/locks/read", "Microsoft.Storage/storageAccounts/listKeys/action"},
		},
		"Google Cloud": {
			writes: []string{"storage.objects.create", "iam.serviceAccounts.actAs", "resourcemanager.projects.setIamPolicy", "storage.objects.*", "roles/owner", "roles/editor"},
			not: []string{
				"storage.objects.get", "resourcemanager.projects.getIamPolicy", "roles/viewer", "bigquery.jobs.listAll",
				"https://www.googleapis.com/auth/drive.readonly",
			},
		},
		"GitHub, Slack and other scopes": {
			writes: []string{"write:packages", "admin:org", "contents:write", "chat:write", "files:write:user", "delete:users", "push", "maintain"},
			not:    []string{"read:org", "contents:read", "users:read.email", "admin.users:read", "read:*", "pull"},
		},
		"SQL": {
			writes: []string{"INSERT", "UPDATE", "DELETE", "TRUNCATE", "ALL PRIVILEGES", "all", "GRANT", "SELECT, INSERT", "DROP"},
			not:    []string{"SELECT", "USAGE", "CONNECT", "EXECUTE"},
		},
		"HTTP": {
			writes: []string{"POST /import", "PUT /a/b", "DELETE /users", "PATCH"},
			not:    []string{"GET /import", "HEAD /delete", "OPTIONS"},
		},
		"plain words": {
			writes: []string{
				"write", "delete", "admin", "owner", "manage", "full_control", "full-access", "FullControl", "bucket-full-control", "read_write", "readWrite",
				"read-write", "readwrite", "rw", "incident_write", "user_admin", "can_delete", "Modify All Data", "ModifyAllData", "read and write",
				"contributor", " write ", "manage users", "WRITE",
			},
			not: []string{
				"read", "view", "READ", "read_only", "read-only", "readonly", "get_import_job", "ViewAllData", "View All Data", "execute", "invoke",
				"use", "frobnicate", "", " ", ".", "Übertragen", "%", "login", "report_view", "read all deployments",
			},
		},
	} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			for _, action := range words.writes {
				require.True(t, rule.Writes(action), action)
			}
			for _, action := range words.not {
				require.False(t, rule.Writes(action), action)
			}
			require.True(t, rule.WritesAny(append(words.not, words.writes[0])))
			require.False(t, rule.WritesAny(words.not))
		})
	}
	require.False(t, rule.WritesAny(nil))
}

func FuzzWrites(f *testing.F) {
	for _, seed := range []string{"s3:PutObject", "*", "_-_", "A*", "ÄÖ", "read*", "/", "a\xffB"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, action string) {
		require.Equal(t, rule.Writes(action), rule.Writes(" "+action+"\n"))
	})
}
