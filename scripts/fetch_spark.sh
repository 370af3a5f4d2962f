#!/usr/bin/env bash
# Puts the jars with which Apache Spark reads Delta Lake into a folder, where the test that needs them finds them:
#
#     scripts/fetch_spark.sh .ci/cache/spark
#
# Spark itself comes with the package pyspark. By coordinates only, so from whichever repository Maven is set up for.
set -euo pipefail

VERSION=4.4.0  # is built for Spark 4.2, and doesn't load in 4.3
folder="$(mkdir -p "$1" && cd "$1" && pwd)"

if [ -f "$folder/version" ] && [ "$(cat "$folder/version")" = "$VERSION" ]; then exit; fi
rm -rf "$folder/jars" "$folder/version"

cat >"$folder/pom.xml" <<POM
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>centtrack</groupId><artifactId>spark-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>io.delta</groupId><artifactId>delta-spark_2.13</artifactId><version>$VERSION</version></dependency>
  </dependencies>
</project>
POM
# What else it needs, Spark has.
mvn --batch-mode --quiet --strict-checksums --file "$folder/pom.xml" -DincludeScope=runtime \
  -DincludeGroupIds=io.delta,io.unitycatalog -DoutputDirectory="$folder/jars" \
  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies
echo "$VERSION" >"$folder/version"  # last, so that half a fetch isn't taken for a whole one
