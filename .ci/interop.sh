#!/bin/sh
# interop.sh makes the demo's evidence and has tools that we did not write
# verify it.
. "$(dirname "$0")/lib.sh"
.ci/tools.sh pdf venv cosign
CGO_ENABLED=0 go build -trimpath -o "$bin/affidavit" .
AFFIDAVIT_BINARY=$bin/affidavit
AFFIDAVIT_COSIGN=$bin/cosign
AFFIDAVIT_MODEL_SIGNING=$cache/venv/bin/python
export AFFIDAVIT_BINARY AFFIDAVIT_COSIGN AFFIDAVIT_MODEL_SIGNING
CGO_ENABLED=0 go test -tags interop -count=1 -timeout 25m -v ./interop
CGO_ENABLED=0 go test -tags interop -count=1 -timeout 10m -run 'Cosign|ModelSigning|OpenSSL|PageCommands' ./attest ./attest/pack
