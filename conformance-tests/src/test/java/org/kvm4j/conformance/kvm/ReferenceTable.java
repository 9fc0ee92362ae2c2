package org.kvm4j.conformance.kvm;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A table of facts under {@code reference/}: comments, a line of column names, rows parted by tabs.
 */
final class ReferenceTable {

  /** A row; {@link #toString} names it in test reports. */
  static final class Row {
    private final List<String> columns;
    private final List<String> values;

    private Row(List<String> columns, List<String> values) {
      this.columns = columns;
      this.values = values;
    }

    String get(String column) {
      int index = columns.indexOf(column);
      if (index < 0) {
        throw new IllegalArgumentException("no column " + column + " in " + columns);
      }
      return values.get(index);
    }

    int getInt(String column) {
      return Long.decode(get(column)).intValue();
    }

    /** The values of a column that holds a list parted by commas; "-" is none. */
    List<String> getList(String column) {
      return get(column).equals("-") ? List.of() : List.of(get(column).split(",", -1));
    }

    @Override
    public String toString() {
      return String.join(" ", values);
    }
  }

  private ReferenceTable() {}

  static List<Row> rows(String name) {
    List<Row> rows = new ArrayList<>();
    try (InputStream stream = ReferenceTable.class.getResourceAsStream("/reference/" + name)) {
      if (stream == null) {
        throw new IllegalStateException("no reference table " + name);
      }
      BufferedReader reader = new BufferedReader(new InputStreamReader(stream, UTF_8));
      List<String> columns = List.of();
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        if (line.startsWith("#")) {
          continue;
        }
        List<String> values = Arrays.asList(line.split("\t", -1));
        if (columns.isEmpty()) {
          columns = values;
        } else if (values.size() != columns.size()) {
          throw new IllegalStateException(name + ": not " + columns + ": " + line);
        } else {
          rows.add(new Row(columns, values));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    if (rows.isEmpty()) {
      throw new IllegalStateException(name + " has no rows");
    }
    return rows;
  }
}
