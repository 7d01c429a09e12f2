package main

import (
	"io"
	"net"
)

func echoConns(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			if _, err := io.Copy(c, c); err == nil {
				io.WriteString(c, "end\n")
			}
		}()
	}
}

func echoDatagrams(address string) error {
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFrom(buffer)
		if err != nil {
			return err
		}
		c.WriteTo(buffer[:n], from)
	}
}
