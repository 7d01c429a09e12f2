package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// MongoDB's codes for the errors that can happen here.
const (
	codeBadValue        = 2
	codeFailedToParse   = 9
	codeCommandNotFound = 59
	codeDuplicateKey    = 11000
	codeInternal        = 1
)

// process tells drivers one run of the server from the next.
var process = bson.NewObjectID()

// answer does what one command asks for.
func (s *server) answer(ctx context.Context, command bson.Raw) bson.D {
	elements, err := command.Elements()
	if err != nil || len(elements) == 0 {
		return failure(codeFailedToParse, "a command needs a name")
	}
	name := elements[0].Key()
	switch name {
	case "hello", "isMaster", "ismaster":
		return hello(ctx, name, command)
	case "ping", "endSessions", "killCursors":
		return success()
	case "buildInfo", "buildinfo":
		return append(bson.D{{Key: "version", Value: version}}, success()...)
	case "insert":
		return s.insert(command)
	case "find":
		return s.find(command)
	case "count":
		return s.count(command)
	case "aggregate":
		return s.aggregate(command)
	}
	return failure(codeCommandNotFound, fmt.Sprintf("no such command: '%.64s'", name))
}

func success() bson.D { return bson.D{{Key: "ok", Value: 1.0}} }

func failure(code int, message string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "code", Value: code}, {Key: "errmsg", Value: message}}
}

// hello tells a driver what it talks to. A driver that has seen a
// topologyVersion asks again with maxAwaitTimeMS and waits for the answer: that
// is how it learns at once when the server goes away.
func hello(ctx context.Context, name string, command bson.Raw) bson.D {
	if wait, ok := command.Lookup("maxAwaitTimeMS").AsInt64OK(); ok {
		t := time.NewTimer(time.Duration(min(max(wait, 0), 60_000)) * time.Millisecond)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	primary := "isWritablePrimary"
	if name != "hello" {
		primary = "ismaster"
	}
	return append(bson.D{
		{Key: primary, Value: true},
		{Key: "helloOk", Value: true},
		{Key: "topologyVersion", Value: bson.D{{Key: "processId", Value: process}, {Key: "counter", Value: int64(0)}}},
		{Key: "maxBsonObjectSize", Value: 16 << 20},
		{Key: "maxMessageSizeBytes", Value: maxMessage},
		{Key: "maxWriteBatchSize", Value: 100_000},
		{Key: "localTime", Value: time.Now()},
		{Key: "minWireVersion", Value: 0},
		{Key: "maxWireVersion", Value: 13}, // MongoDB 5.0's, which today's drivers accept
		{Key: "readOnly", Value: false},
	}, success()...)
}

func (s *server) insert(command bson.Raw) bson.D {
	values, err := command.Lookup("documents").Array().Values()
	if err != nil || len(values) == 0 {
		return failure(codeBadValue, "insert needs documents")
	}
	docs := make([]bson.Raw, len(values))
	for i, v := range values {
		doc, ok := v.DocumentOK()
		if !ok {
			return failure(codeBadValue, fmt.Sprintf("documents.%d is no document", i))
		}
		docs[i] = doc
	}
	added, err := s.data.insert(collectionOf(command, "insert"), docs)
	answer := bson.D{{Key: "n", Value: added}}
	switch {
	case errors.Is(err, errDuplicate):
		answer = append(answer, bson.E{Key: "writeErrors", Value: bson.A{bson.D{
			{Key: "index", Value: added}, {Key: "code", Value: codeDuplicateKey},
			{Key: "errmsg", Value: "E11000 duplicate key error: " + docs[added].Lookup("_id").String()},
		}}})
	case err != nil:
		return failure(codeInternal, err.Error())
	}
	return append(answer, success()...)
}

// maxAnswer keeps an answer of find below a message's limit; documents beyond
// it are asked for with a narrower filter.
const maxAnswer = 16 << 20

func (s *server) find(command bson.Raw) bson.D {
	docs, problem := s.matching(collectionOf(command, "find"), command.Lookup("filter"))
	if problem != nil {
		return problem
	}
	if limit, ok := command.Lookup("limit").AsInt64OK(); ok && limit > 0 && limit < int64(len(docs)) {
		docs = docs[:limit]
	}
	size, batch := 0, make(bson.A, 0, len(docs))
	for _, doc := range docs {
		if size += len(doc); size > maxAnswer {
			return failure(codeBadValue, "the answer is larger than 16 MB: narrow the filter or set a limit")
		}
		batch = append(batch, doc)
	}
	return cursor(command, "find", batch)
}

func (s *server) count(command bson.Raw) bson.D {
	docs, problem := s.matching(collectionOf(command, "count"), command.Lookup("query"))
	if problem != nil {
		return problem
	}
	return append(bson.D{{Key: "n", Value: len(docs)}}, success()...)
}

// aggregate does what the drivers' CountDocuments sends and no more: $match,
// then a $group that counts.
func (s *server) aggregate(command bson.Raw) bson.D {
	stages, err := command.Lookup("pipeline").Array().Values()
	if err != nil || len(stages) != 2 {
		return failure(codeBadValue, "only the pipeline of CountDocuments is supported")
	}
	match, group := stages[0].Document().Lookup("$match"), stages[1].Document().Lookup("$group")
	if match.Type != bson.TypeEmbeddedDocument || group.Type != bson.TypeEmbeddedDocument {
		return failure(codeBadValue, "only the pipeline of CountDocuments is supported")
	}
	docs, problem := s.matching(collectionOf(command, "aggregate"), match)
	if problem != nil {
		return problem
	}
	batch := bson.A{}
	if len(docs) > 0 {
		batch = append(batch, bson.D{{Key: "_id", Value: 1}, {Key: "n", Value: len(docs)}})
	}
	return cursor(command, "aggregate", batch)
}

// matching finds the documents for a filter of equalities, or says what is
// wrong with the filter.
func (s *server) matching(collection string, value bson.RawValue) ([]bson.Raw, bson.D) {
	filter, ok := value.DocumentOK()
	if !ok {
		filter, _ = bson.Marshal(bson.D{})
	}
	elements, err := filter.Elements()
	if err != nil {
		return nil, failure(codeFailedToParse, err.Error())
	}
	for _, e := range elements {
		inner, isDoc := e.Value().DocumentOK()
		operator := isDoc && strings.Contains(inner.String(), `{"$`)
		if strings.HasPrefix(e.Key(), "$") || strings.Contains(e.Key(), ".") || operator {
			return nil, failure(codeBadValue, fmt.Sprintf("filter on '%.64s': only equality of a field is supported", e.Key()))
		}
	}
	docs, err := s.data.find(collection, filter)
	if err != nil {
		return nil, failure(codeInternal, err.Error())
	}
	return docs, nil
}

// collectionOf gives database.collection of a command such as {insert: "c", $db: "d"}.
func collectionOf(command bson.Raw, verb string) string {
	db, _ := command.Lookup("$db").StringValueOK()
	name, _ := command.Lookup(verb).StringValueOK()
	return db + "." + name
}

func cursor(command bson.Raw, verb string, batch bson.A) bson.D {
	return append(bson.D{{Key: "cursor", Value: bson.D{
		{Key: "id", Value: int64(0)},
		{Key: "ns", Value: collectionOf(command, verb)},
		{Key: "firstBatch", Value: batch},
	}}}, success()...)
}
