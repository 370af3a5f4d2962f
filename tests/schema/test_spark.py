"""The statement for Spark says of each column what the lake has. Spark itself reads the lake in another test."""

from __future__ import annotations

import re

from centtrack.schema.fields import FIELDS
from centtrack.schema.spark import columns_ddl, create_table


def test_the_statement_names_every_column_with_its_type_and_meaning():
    statement = create_table("event", database="lake")
    assert statement.startswith("create table if not exists `lake`.`event` (\n")
    assert ")\nusing delta\npartitioned by (`date`)\ntblproperties (" in statement
    found = re.findall(r"^  (`\w+` .+) comment '(.+)',?$", statement, re.MULTILINE)
    assert ", ".join(column for column, _ in found) == columns_ddl()
    assert [comment.replace("\\'", "'") for _, comment in found] == [field.comment for field in FIELDS]


def test_any_name_is_a_name_and_nothing_else():
    hostile = "event` using csv; drop table visits; --"
    assert create_table(hostile).startswith("create table if not exists `event`` using csv; drop table visits; --` (\n")
