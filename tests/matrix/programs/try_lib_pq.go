// lib/pq (Go, database/sql): queries, prepared statements, transactions, COPY, notifications.
package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/lib/pq"
)


type answer struct {
	Tried    string `json:"tried"`
	Withheld string `json:"withheld,omitempty"`
	Got      any    `json:"got,omitempty"`
	Failed   string `json:"failed,omitempty"`
}

func tried(name, withheld string, act func(*sql.DB) (any, error)) {
	database, err := sql.Open("postgres", "")
	line := answer{Tried: name, Withheld: withheld}
	if err == nil {
		line.Got, err = act(database)
		database.Close()
	}
	if err != nil {
		line.Failed = err.Error()
	}
	text, _ := json.Marshal(line)
	fmt.Println(string(text))
}

func rows(found *sql.Rows, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	defer found.Close()
	names, _ := found.Columns()
	var all []string
	for found.Next() {
		cells := make([]any, len(names))
		for i := range cells {
			cells[i] = new(any)
		}
		if err := found.Scan(cells...); err != nil {
			return nil, err
		}
		line := ""
		for _, cell := range cells {
			line += fmt.Sprintf("%s|", *(cell.(*any)))
		}
		all = append(all, line)
	}
	return all, found.Err()
}

func main() {
	fmt.Printf("{\"client\": \"lib/pq of Debian (%s)\"}\n", runtime.Version())
	tried("queries with parameters", "", func(d *sql.DB) (any, error) {
		return rows(d.Query("select id, name, email, city, avatar from customers where id < $1 order by id", 4))
	})
	tried("prepared statements, used again", "", func(d *sql.DB) (any, error) {
		s, err := d.Prepare("select city from customers where id = $1")
		if err != nil {
			return nil, err
		}
		var city string
		var all []string
		for i := 1; i < 6; i++ {
			if err := s.QueryRow(i).Scan(&city); err != nil {
				return nil, err
			}
			all = append(all, city)
		}
		return all, nil
	})
	tried("a transaction, rolled back", "", func(d *sql.DB) (any, error) {
		t, err := d.Begin()
		if err != nil {
			return nil, err
		}
		if _, err = t.Exec("insert into notes (body) values ($1)", "lost"); err != nil {
			return nil, err
		}
		t.Rollback()
		return rows(d.Query("select count(*) from notes"))
	})
	tried("COPY in (pq.CopyIn)", "", func(d *sql.DB) (any, error) {
		t, err := d.Begin()
		if err != nil {
			return nil, err
		}
		s, err := t.Prepare(pq.CopyIn("notes", "id", "body"))
		if err != nil {
			return nil, err
		}
		for i := 0; i < 100; i++ {
			if _, err := s.Exec(20000+i, "copied"); err != nil {
				return nil, err
			}
		}
		if _, err := s.Exec(); err != nil {
			return nil, err
		}
		s.Close()
		if err := t.Commit(); err != nil {
			return nil, err
		}
		return rows(d.Query("select count(*) from notes where body = 'copied'"))
	})
	tried("an error's code, and the connection goes on", "", func(d *sql.DB) (any, error) {
		_, err := d.Exec("select 1/0")
		code := string(err.(*pq.Error).Code)
		after, err := rows(d.Query("select 1"))
		return []any{code, after}, err
	})
	tried("LISTEN and NOTIFY (pq.Listener)", "hello", func(d *sql.DB) (any, error) {
		listener := pq.NewListener("", time.Second, time.Minute, nil)
		defer listener.Close()
		if err := listener.Listen("news"); err != nil {
			return nil, err
		}
		if _, err := d.Exec("notify news, 'hello'"); err != nil {
			return nil, err
		}
		select {
		case heard := <-listener.Notify:
			return []string{heard.Channel, heard.Extra}, nil
		case <-time.After(20 * time.Second):
			return nil, fmt.Errorf("nothing heard")
		}
	})
}
