package devpg

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
)

// The roles and the database that every server of this package has.
const (
	OwnerRole   = "exposuregraph_owner" // owns the schema and migrates it; may create databases
	RuntimeRole = "exposuregraph"       // serves requests; row level security binds it
	Database    = "exposuregraph"

	superuser   = "postgres"
	maintenance = "postgres" // the database that is always there
)

// port is only part of the socket's name; nothing listens on TCP.
const port = "5432"

// SocketDir is the folder of the server's Unix socket.
func (s *Server) SocketDir() string { return s.socketDir }

// OwnerURL is the connection string of the role that owns the schema, for
// migrations. An empty name means the product's own database.
func (s *Server) OwnerURL(database string) string { return s.url(OwnerRole, database) }

// RuntimeURL is the connection string of the role that serves requests. An
// empty name means the product's own database.
func (s *Server) RuntimeURL(database string) string { return s.url(RuntimeRole, database) }

// SuperuserURL is the connection string of PostgreSQL's superuser, for what
// neither role may do. An empty name means the product's own database.
func (s *Server) SuperuserURL(database string) string { return s.url(superuser, database) }

// url is understood by libpq and pgx: no host in the authority, the socket's
// folder as a parameter.
func (s *Server) url(role, database string) string {
	if database == "" {
		database = Database
	}
	u := url.URL{
		Scheme: "postgres",
		User:   url.User(role),
		Path:   "/" + database,
		// PathEscape, because to PostgreSQL a plus sign is no space.
		RawQuery: "host=" + url.PathEscape(s.socketDir) + "&port=" + port + "&sslmode=disable",
	}
	return u.String()
}

// connect opens one connection. Whoever does not answer within seconds counts
// as not answering: a server that starts says so at once.
func connect(ctx context.Context, url string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return pgx.Connect(ctx, url)
}

// disconnect says goodbye for at most a second. A connection that was only used
// to ask has nothing left to lose.
func disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// provision brings the roles and the database to what the product expects,
// whatever an earlier version or a half-done start left. Granting CONNECT comes
// last: it is how Attach knows that all of it is done.
func (s *Server) provision(ctx context.Context) error {
	conn, err := connect(ctx, s.SuperuserURL(maintenance))
	if err != nil {
		return err
	}
	defer disconnect(conn)

	for _, role := range []struct{ name, attributes string }{
		{OwnerRole, "LOGIN CREATEDB NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION"},
		{RuntimeRole, "LOGIN NOCREATEDB NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION"},
	} {
		exists, err := answers(ctx, conn, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, role.name)
		if err != nil {
			return fmt.Errorf("look for role %s: %w", role.name, err)
		}
		verb := "CREATE"
		if exists {
			verb = "ALTER"
		}
		if _, err := conn.Exec(ctx, verb+" ROLE "+role.name+" WITH "+role.attributes); err != nil {
			return fmt.Errorf("make role %s: %w", role.name, err)
		}
	}

	exists, err := answers(ctx, conn, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, Database)
	if err != nil {
		return fmt.Errorf("look for database %s: %w", Database, err)
	}
	statements := []string{
		"ALTER DATABASE " + Database + " OWNER TO " + OwnerRole,
		"REVOKE CONNECT ON DATABASE " + Database + " FROM PUBLIC",
		"GRANT CONNECT ON DATABASE " + Database + " TO " + RuntimeRole,
	}
	if !exists {
		statements = append([]string{"CREATE DATABASE " + Database + " OWNER " + OwnerRole}, statements...)
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func answers(ctx context.Context, conn *pgx.Conn, question string, args ...any) (yes bool, err error) {
	err = conn.QueryRow(ctx, question, args...).Scan(&yes)
	return yes, err
}
