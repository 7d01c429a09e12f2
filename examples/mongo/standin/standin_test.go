package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// start runs a stand-in on dir until the test or stop ends it.
func start(t *testing.T, dir string) (db *mongo.Database, stop func()) {
	t.Helper()
	data, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newServer(data).serve(ctx, l) }()
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + l.Addr().String() + "/?directConnection=true"))
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, end := context.WithTimeout(context.Background(), 10*time.Second)
		defer end()
		if err := client.Disconnect(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := data.close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return client.Database("test"), stop
}

func TestOfficialDriver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, stop := start(t, dir)
	ctx := t.Context()
	c := db.Collection("things")
	if _, err := c.InsertMany(ctx, []any{
		bson.D{{Key: "_id", Value: 1}, {Key: "colour", Value: "red"}},
		bson.D{{Key: "_id", Value: 2}, {Key: "colour", Value: "blue"}},
		bson.D{{Key: "_id", Value: 3}, {Key: "colour", Value: "red"}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.InsertOne(ctx, bson.D{{Key: "_id", Value: 2}}); !mongo.IsDuplicateKeyError(err) {
		t.Errorf("second document with _id 2: %v", err)
	}
	if n, err := c.CountDocuments(ctx, bson.D{{Key: "colour", Value: "red"}}); err != nil || n != 2 {
		t.Errorf("red ones: %d, %v", n, err)
	}
	if _, err := c.CountDocuments(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: 1}}}}); err == nil {
		t.Error("an operator was taken for a value")
	}
	if err := db.RunCommand(ctx, bson.D{{Key: "dropDatabase", Value: 1}}).Err(); err == nil {
		t.Error("an unknown command succeeded")
	}

	stop()
	db, _ = start(t, dir)
	var found []struct {
		ID     int `bson:"_id"`
		Colour string
	}
	cur, err := db.Collection("things").Find(ctx, bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	if err := cur.All(ctx, &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != 3 || found[2].ID != 3 || found[2].Colour != "red" {
		t.Errorf("after a restart: %+v", found)
	}
}

func TestTornRecordIsCutAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, stop := start(t, dir)
	for i := range 2 {
		if _, err := db.Collection("things").InsertOne(t.Context(), bson.D{{Key: "_id", Value: i}}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	name := filepath.Join(dir, "standin.bson")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, whole[:len(whole)-3], 0o644); err != nil {
		t.Fatal(err)
	}
	db, _ = start(t, dir)
	if n, err := db.Collection("things").EstimatedDocumentCount(t.Context()); err != nil || n != 1 {
		t.Errorf("documents left: %d, %v", n, err)
	}
	if _, err := db.Collection("things").InsertOne(t.Context(), bson.D{{Key: "_id", Value: 1}}); err != nil {
		t.Error(err)
	}
}

func TestOneServerPerFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir)
	if s, err := openStore(dir); err == nil {
		s.close()
		t.Error("a second server opened the same folder")
	}
}

func FuzzReadMessage(f *testing.F) {
	ping, err := bson.Marshal(bson.D{{Key: "ping", Value: 1}, {Key: "$db", Value: "admin"}})
	if err != nil {
		f.Fatal(err)
	}
	var msg bytes.Buffer
	if err := (message{op: opMsg}).reply(&msg, bson.D{{Key: "ping", Value: 1}}); err != nil {
		f.Fatal(err)
	}
	f.Add(msg.Bytes())
	f.Add(append([]byte{58, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xd4, 7, 0, 0, 0, 0, 0, 0, 'a', 0, 0, 0, 0, 0, 1, 0, 0, 0}, ping...))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := readMessage(bytes.NewReader(in))
		if err == nil && m.command.Validate() != nil {
			t.Error("an invalid command was taken")
		}
	})
}
