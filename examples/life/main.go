// Command life is what the Pods of this folder run. It has a handful of small
// programs, as an image without a shell still needs them:
//
//	life serve             answers on $HOST:$PORT, :8080 if unset, with the host's
//	                       name, until SIGTERM; says which other paths were
//	                       asked for
//	life secure            serves over HTTPS, with a certificate that nobody has
//	                       signed
//	life health            answers gRPC health checks on $PORT
//	life ask URL           prints what a server answers
//	life work FILE TEXT    appends a line to a file, as an init container does
//	life fail TEXT         leaves a termination message and exits with 3
//	life complain          writes lines to standard error and exits with 3
//	life cat [FILE…]       like cat
//	life exit CODE         ends at once
//	life watch FILE CODE   ends as soon as there is such a file, which it removes
//	life ps                lists the processes it sees
//	life tar …             as much of tar as "kubectl cp" needs; called tar, too
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == "tar" {
		args = append([]string{"tar"}, args...)
	}
	if len(args) == 0 {
		args = []string{"serve"}
	}
	if err := run(args[0], args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name string, args []string) error {
	switch name {
	case "serve":
		return serve(func(address string) error { return http.ListenAndServe(address, nil) })
	case "secure":
		return serve(listenSecurely)
	case "health":
		return healthCheck()
	case "ask":
		return ask(args[0])
	case "work":
		return work(args[0], args[1])
	case "fail":
		if err := os.WriteFile("/dev/termination-log", []byte(args[0]), 0o644); err != nil {
			return err
		}
		os.Exit(3)
	case "complain":
		for i := range 100 {
			fmt.Fprintln(os.Stderr, "something is wrong", i)
		}
		os.Exit(3)
	case "cat":
		return cat(args)
	case "exit":
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "watch":
		code, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		for os.Remove(args[0]) != nil {
			time.Sleep(100 * time.Millisecond)
		}
		os.Exit(code)
	case "ps":
		return list()
	case "tar":
		return tarball(args)
	}
	return fmt.Errorf("life: there is no program %q", name)
}

func serve(listen func(address string) error) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		fmt.Println("bye")
		os.Exit(0)
	}()
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			fmt.Println("asked for", r.URL.Path)
		}
		fmt.Fprintln(w, name)
	})
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	address := net.JoinHostPort(os.Getenv("HOST"), port)
	fmt.Println("life serves on " + address)
	return listen(address)
}

func ask(url string) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func work(file, text string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, text); err != nil {
		return err
	}
	fmt.Println("did", text)
	return f.Close()
}

func cat(files []string) error {
	if len(files) == 0 {
		_, err := io.Copy(os.Stdout, bufio.NewReader(os.Stdin))
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(text); err != nil {
			return err
		}
	}
	return nil
}

func list() error {
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		fmt.Println(filepath.Base(filepath.Dir(file)), strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " "))
	}
	return nil
}
