// Command app is what the tests' containers run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"skiff/runtime/fsgroup"
	"skiff/runtime/loopback"
)

func main() {
	args := append(os.Args[1:], "serve")
	switch args[0] {
	case "serve":
		serve()
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		time.Sleep(time.Hour)
	case "exit": // exit CODE
		fmt.Println("exiting with", args[1])
		code, _ := strconv.Atoi(args[1])
		os.Exit(code)
	case "echo": // echo WORDS...
		fmt.Println(strings.Join(os.Args[2:], " "))
	case "complain": // to standard error
		fmt.Fprintln(os.Stderr, "it hurts")
		os.Exit(3)
	case "flood": // more than anybody wants to read
		for range 10000 {
			fmt.Println("0123456789")
		}
	case "pour": // pour KILOBYTES: so many numbered lines of 1000 bytes each, then a few now and then
		lines, _ := strconv.Atoi(args[1])
		for i := 0; ; i++ {
			fmt.Printf("%09d %s\n", i, strings.Repeat("x", 989))
			if i >= lines {
				time.Sleep(10 * time.Millisecond)
			}
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "orphan": // leaves a process behind and says which
		child := exec.Command(os.Args[0], "sleep")
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Print(child.Process.Pid)
	case "kill": // kill PROCESS
		pid, _ := strconv.Atoi(args[1])
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "tick": // a line every few milliseconds
		for i := 0; ; i++ {
			fmt.Println("tick", i)
			time.Sleep(10 * time.Millisecond)
		}
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "args":
		fmt.Println(strings.Join(os.Args, " "))
	case "stat": // stat FILE...: mode, owner, group, size of its file system
		for _, file := range os.Args[2:] {
			stat(file)
		}
	case "write": // write FILE TEXT
		if err := os.WriteFile(args[1], []byte(args[2]), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "link": // link TARGET NAME
		if err := os.Symlink(args[1], args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case fsgroup.Command:
		if err := fsgroup.Run(context.Background(), os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case loopback.Command:
		if err := loopback.Run(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "hear": // what it is told, it says
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "cat": // cat FILE
		content, err := os.ReadFile(args[1])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Stdout.Write(content)
	}
}

func serve() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		name, _ := os.Hostname()
		fmt.Fprint(w, name)
	})
	http.HandleFunc("/eat", func(http.ResponseWriter, *http.Request) {
		for {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			eaten = append(eaten, block)
		}
	})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		fmt.Println("bye")
		os.Exit(0)
	}()
	fmt.Println("hello")
	fmt.Println(http.ListenAndServe(":8080", nil))
}

var eaten [][]byte

func stat(file string) {
	var st syscall.Stat_t
	var fs syscall.Statfs_t
	if err := errors.Join(syscall.Stat(file, &st), syscall.Statfs(file, &fs)); err != nil {
		fmt.Fprintln(os.Stderr, file, err)
		os.Exit(1)
	}
	fmt.Printf("%s %o %d:%d %d\n", file, st.Mode&0o7777, st.Uid, st.Gid, fs.Blocks*uint64(fs.Bsize))
}
