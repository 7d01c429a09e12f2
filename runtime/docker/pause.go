package docker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// The sandbox's program does nothing but hold the namespaces. No image can be
// counted on to be pullable, so skiff brings its own: these instructions in the
// smallest file that Linux runs. As the first process of its namespace it
// ignores every signal that it has no handler for, so only SIGKILL ends it. Where
// the containers share their processes it inherits the orphans: ignoring SIGCHLD
// has the kernel take them away when they end.
var pauseCode = map[string][]byte{
	"amd64": append([]byte{
		0xb8, 0x0d, 0x00, 0x00, 0x00, //             mov eax, 13    rt_sigaction
		0xbf, 0x11, 0x00, 0x00, 0x00, //             mov edi, 17    SIGCHLD
		0x48, 0x8d, 0x35, 0x13, 0x00, 0x00, 0x00, // lea rsi, [rip+19]
		0x31, 0xd2, //                               xor edx, edx
		0x41, 0xba, 0x08, 0x00, 0x00, 0x00, //       mov r10d, 8    size of a signal set
		0x0f, 0x05, //                               syscall
		0xb8, 0x22, 0x00, 0x00, 0x00, //             mov eax, 34    pause
		0x0f, 0x05, //                               syscall        returns only after a signal
		0xeb, 0xf7, //                               jmp -9         and again
	}, ignoreSignal...),
	"arm64": append([]byte{
		0x20, 0x02, 0x80, 0xd2, // mov x0, 17     SIGCHLD
		0xa1, 0x01, 0x00, 0x10, // adr x1, 52
		0x02, 0x00, 0x80, 0xd2, // mov x2, 0
		0x03, 0x01, 0x80, 0xd2, // mov x3, 8      size of a signal set
		0xc8, 0x10, 0x80, 0xd2, // mov x8, 134    rt_sigaction
		0x01, 0x00, 0x00, 0xd4, // svc 0
		// There is no pause; ppoll of nothing, without a limit, is the same.
		0x00, 0x00, 0x80, 0xd2, // mov x0, 0      no descriptors
		0x01, 0x00, 0x80, 0xd2, // mov x1, 0      none
		0x02, 0x00, 0x80, 0xd2, // mov x2, 0      no time limit
		0x03, 0x00, 0x80, 0xd2, // mov x3, 0      no signal mask
		0x04, 0x00, 0x80, 0xd2, // mov x4, 0      of no size
		0x28, 0x09, 0x80, 0xd2, // mov x8, 73     ppoll
		0x01, 0x00, 0x00, 0xd4, // svc 0          returns only after a signal
		0xf9, 0xff, 0xff, 0x17, // b -28          and again
	}, ignoreSignal...),
}

// ignoreSignal is the kernel's struct sigaction with the handler SIG_IGN.
var ignoreSignal = append([]byte{1}, make([]byte, 31)...)

// elfMachines are ELF's numbers of the processors.
var elfMachines = map[string]uint16{"amd64": 62, "arm64": 183}

// pauseProgram wraps the instructions for a processor in an ELF file: a file
// header, one program header that maps the whole file, the code.
func pauseProgram(arch string) ([]byte, error) {
	code, ok := pauseCode[arch]
	if !ok {
		return nil, fmt.Errorf("make pause program: no code for processor %q", arch)
	}
	const (
		fileHeader, programHeader = 64, 56
		base                      = 0x400000 // where it is mapped; any page will do
	)
	machine := elfMachines[arch]
	size := uint64(fileHeader + programHeader + len(code))
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01") // 64 bits, little endian, version 1
	b.Write(make([]byte, 9))             // any system; padding
	for _, field := range []any{
		uint16(2), machine, uint32(1), // executable, for this processor, version 1
		uint64(base + fileHeader + programHeader), // where to begin
		uint64(fileHeader), uint64(0),             // where the program headers are; no section headers
		uint32(0), uint16(fileHeader), // flags, size of this header
		uint16(programHeader), uint16(1), // size and number of program headers
		uint16(0), uint16(0), uint16(0), // no sections

		uint32(1), uint32(5), // load; readable and executable
		uint64(0), uint64(base), uint64(base), // from the file's start, to there
		size, size, uint64(0x1000), // all of it, on a page's boundary
	} {
		if err := binary.Write(&b, binary.LittleEndian, field); err != nil {
			return nil, fmt.Errorf("make pause program: %w", err)
		}
	}
	b.Write(code)
	return b.Bytes(), nil
}

const (
	pauseRepository = "skiff/pause"
	labelPause      = "skiff.pause"
)

// pauseImage makes the image for the engine's processor, and its name, which
// says what is in it: the program, and the directory that viewers look through.
// The image is the same, to the bit, whoever makes it, so instances share it and
// may load it at the same time.
func (e *Engine) pauseImage(ctx context.Context) (ref string, archive []byte, err error) {
	e.pauseMu.Lock()
	defer e.pauseMu.Unlock()
	if e.pauseRef != "" {
		return e.pauseRef, e.pauseArchive, nil
	}
	version, err := e.api.ServerVersion(ctx)
	if err != nil {
		return "", nil, failure("ask the engine for its version", err)
	}
	program, err := pauseProgram(version.Arch)
	if err != nil {
		return "", nil, err
	}
	files := []entry{
		{file: fileOf("pause", program), mode: 0o555},
		{file: fileOf(viewPath[1:]+"/", nil), mode: 0o777},
	}
	sum := sha256.Sum256(append([]byte(viewPath), program...))
	ref = pauseRepository + ":" + hex.EncodeToString(sum[:6])
	archive, err = imageArchive(ref, version.Arch, imageConfig{
		Entrypoint: []string{"/pause"},
		StopSignal: "SIGKILL",
		Labels:     map[string]string{labelPause: "true"},
	}, files...)
	if err != nil {
		return "", nil, err
	}
	e.pauseRef, e.pauseArchive = ref, archive
	return ref, archive, nil
}
