module skiff/examples/writer

go 1.26.0
