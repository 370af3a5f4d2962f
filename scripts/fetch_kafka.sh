#!/usr/bin/env bash
# Puts the jars of an Apache Kafka broker into a folder, where the tests that need a cluster find them:
#
#     scripts/fetch_kafka.sh .ci/cache/kafka
#
# By coordinates only, so from whichever repository Maven is set up for; needs mvn, and Java 17 or newer to run them.
set -euo pipefail

VERSION=4.1.1
SLF4J=1.7.36  # the one that this Kafka is built with
folder="$(mkdir -p "$1" && cd "$1" && pwd)"

if [ -f "$folder/version" ] && [ "$(cat "$folder/version")" = "$VERSION" ]; then exit; fi
rm -rf "$folder/jars" "$folder/version"

cat >"$folder/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>centtrack</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$VERSION</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>$SLF4J</version></dependency>
  </dependencies>
</project>
POM
mvn --batch-mode --quiet --strict-checksums --file "$folder/pom.xml" -DincludeScope=runtime \
  -DoutputDirectory="$folder/jars" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies
echo "$VERSION" >"$folder/version"  # last, so that half a fetch isn't taken for a whole one
