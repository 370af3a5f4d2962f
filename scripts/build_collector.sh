#!/usr/bin/env bash
# Builds an OpenTelemetry Collector that receives OTLP and writes it to a file, for the tests of the otlp sink:
#
#     scripts/build_collector.sh .ci/cache/collector
#     CENTTRACK_TEST_COLLECTOR=.ci/cache/collector/collector pytest tests/sinks/test_otlp.py
#
# From its Go modules; needs Go 1.22 or newer, and a few minutes the first time.
set -euo pipefail

VERSION=0.111.0
folder="$(mkdir -p "$1" && cd "$1" && pwd)"

if [ -f "$folder/version" ] && [ "$(cat "$folder/version")" = "$VERSION" ]; then exit; fi
rm -rf "$folder/source" "$folder/version"

cat >"$folder/builder.yaml" <<YAML
dist: {name: collector, output_path: $folder/source, otelcol_version: $VERSION, description: for tests}
receivers: [{gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v$VERSION}]
exporters: [{gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter v$VERSION}]
YAML
GOBIN="$folder/bin" go install "go.opentelemetry.io/collector/cmd/builder@v$VERSION"
# It would run `go mod tidy`, which wants modules that only tests of its modules use.
"$folder/bin/builder" --config "$folder/builder.yaml" --skip-get-modules --skip-compilation
cd "$folder/source"
CGO_ENABLED=0 GOFLAGS="-mod=mod -buildvcs=false" go build -trimpath -ldflags="-s -w" -o "$folder/collector" .
echo "$VERSION" >"$folder/version"  # last, so that half a build isn't taken for a whole one
