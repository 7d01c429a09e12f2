// Command api is the API server of the application go-demo-2: it keeps people
// in the database that it finds by the name of its Service.
//
//	GET  /demo/hello     says hello; asks nothing of the database
//	POST /demo/person    keeps the person whose name is the body, and reads it back
//	GET  /demo/person    how many people there are
//
// DB is the name of the database's Service. Like most servers, it does not
// handle SIGTERM: what is under way then is lost, were it not drained before.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Linked in with -ldflags "-X main.version=2".
var version = "0"

// patience is longer than a connection is held while the database is replaced.
const patience = 40 * time.Second

const maxName = 1 << 10

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	db := os.Getenv("DB")
	if db == "" {
		return errors.New("DB must be the name of the database's Service")
	}
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + db + ":27017/?directConnection=true").SetTimeout(patience))
	if err != nil {
		return fmt.Errorf("connect to the database %s: %w", db, err)
	}
	s := server{people: client.Database("demo").Collection("people")}
	srv := &http.Server{Addr: ":8080", Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	log.Printf("version %s listens on %s, its database is %s", version, srv.Addr, db)
	return srv.ListenAndServe()
}

type server struct{ people *mongo.Collection }

func (s server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /demo/hello", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello, release %s!\n", version)
	})
	mux.HandleFunc("POST /demo/person", s.keep)
	mux.HandleFunc("GET /demo/person", s.count)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", version)
		mux.ServeHTTP(w, r)
	})
}

type person struct {
	ID   bson.ObjectID `bson:"_id"`
	Name string        `bson:"name"`
}

// keep answers with what the database has after the write, not with what came.
func (s server) keep(w http.ResponseWriter, r *http.Request) {
	name, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxName))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p := person{ID: bson.NewObjectID(), Name: string(name)}
	if _, err := s.people.InsertOne(r.Context(), p); err != nil {
		unavailable(w, "keep a person", err)
		return
	}
	var kept person
	if err := s.people.FindOne(r.Context(), bson.D{{Key: "_id", Value: p.ID}}).Decode(&kept); err != nil {
		unavailable(w, "read the person back", err)
		return
	}
	io.WriteString(w, kept.Name)
}

func (s server) count(w http.ResponseWriter, r *http.Request) {
	n, err := s.people.CountDocuments(r.Context(), bson.D{})
	if err != nil {
		unavailable(w, "count people", err)
		return
	}
	fmt.Fprintln(w, n)
}

func unavailable(w http.ResponseWriter, what string, err error) {
	log.Printf("%s: %v", what, err)
	http.Error(w, fmt.Sprintf("%s: %v", what, err), http.StatusServiceUnavailable)
}
