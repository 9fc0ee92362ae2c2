package org.kvm4j.vmm.cli;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Writes JSON (RFC 8259): maps, lists, strings, numbers, booleans and null. */
final class Json {

  private final StringBuilder out = new StringBuilder();

  private Json() {}

  /** A value on several lines, with a newline at the end. */
  static String of(@Nullable Object value) {
    Json json = new Json();
    json.value(value, 0);
    return json.out.append('\n').toString();
  }

  private void value(@Nullable Object value, int indent) {
    if (value == null || value instanceof Number || value instanceof Boolean) {
      out.append(value);
    } else if (value instanceof Map<?, ?> map) {
      out.append('{');
      String separator = "";
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        out.append(separator);
        line(indent + 1);
        string(String.valueOf(entry.getKey()));
        out.append(": ");
        value(entry.getValue(), indent + 1);
        separator = ",";
      }
      end('}', map.isEmpty(), indent);
    } else if (value instanceof List<?> list) {
      out.append('[');
      String separator = "";
      for (Object element : list) {
        out.append(separator);
        line(indent + 1);
        value(element, indent + 1);
        separator = ",";
      }
      end(']', list.isEmpty(), indent);
    } else {
      string(value.toString());
    }
  }

  private void end(char bracket, boolean empty, int indent) {
    if (!empty) {
      line(indent);
    }
    out.append(bracket);
  }

  private void line(int indent) {
    out.append('\n').append("  ".repeat(indent));
  }

  private void string(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"':
          out.append("\\\"");
          break;
        case '\\':
          out.append("\\\\");
          break;
        case '\n':
          out.append("\\n");
          break;
        case '\r':
          out.append("\\r");
          break;
        case '\t':
          out.append("\\t");
          break;
        default:
          if (c < ' ') {
            out.append(String.format("\\u%04x", (int) c));
          } else {
            out.append(c);
          }
          break;
      }
    }
    out.append('"');
  }
}
