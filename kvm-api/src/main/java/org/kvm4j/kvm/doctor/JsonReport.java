package org.kvm4j.kvm.doctor;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A report as JSON (RFC 8259), for programs. Fields may be added; none changes its meaning. */
public final class JsonReport {
  private final StringBuilder out = new StringBuilder();

  private JsonReport() {}

  /** The report as one JSON object, on several lines. */
  public static String of(Report report) {
    List<Object> backends = new ArrayList<>();
    for (BackendReport backend : report.backends()) {
      backends.add(backend(backend));
    }
    Map<String, Object> root = new LinkedHashMap<>();
    root.put("format", 1);
    root.put("runsGuests", report.anyRunsGuests());
    root.put("machine", report.machine());
    root.put("backends", backends);
    JsonReport json = new JsonReport();
    json.value(root, 0);
    return json.out.append('\n').toString();
  }

  private static Map<String, Object> backend(BackendReport backend) {
    List<Object> modes = new ArrayList<>();
    for (ModeResult mode : backend.modes()) {
      Map<String, Object> m = new LinkedHashMap<>();
      m.put("mode", mode.mode().id());
      m.put("title", mode.mode().title());
      m.put("outcome", id(mode.outcome()));
      m.put("detail", mode.detail().isEmpty() ? null : mode.detail());
      m.put("exitNanos", mode.exitNanos() == 0 ? null : mode.exitNanos());
      modes.add(m);
    }
    List<Object> capabilities = new ArrayList<>();
    for (CapabilityValue capability : backend.capabilities()) {
      Map<String, Object> c = new LinkedHashMap<>();
      c.put("name", capability.name());
      c.put("number", capability.number());
      c.put("value", capability.value());
      c.put("vmValue", capability.vmValue());
      capabilities.add(c);
    }
    Map<String, Object> b = new LinkedHashMap<>();
    b.put("name", backend.name());
    b.put("verdict", id(backend.verdict()));
    b.put("available", backend.verdict() != Verdict.UNAVAILABLE);
    b.put("runsGuests", backend.verdict().runsGuests());
    b.put("reason", backend.reason().isEmpty() ? null : backend.reason());
    b.put("remedy", backend.remedy().isEmpty() ? null : backend.remedy());
    b.put("apiVersion", backend.apiVersion() == 0 ? null : backend.apiVersion());
    b.put("vcpuMmapSize", backend.vcpuMmapSize() == 0 ? null : backend.vcpuMmapSize());
    b.put("modes", modes);
    b.put("capabilities", capabilities);
    return b;
  }

  private static String id(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private void value(@Nullable Object value, int indent) {
    if (value instanceof Map<?, ?> map) {
      block('{', '}', map.entrySet(), indent);
    } else if (value instanceof List<?> list) {
      block('[', ']', list, indent);
    } else if (value instanceof Map.Entry<?, ?> entry) {
      string(String.valueOf(entry.getKey()));
      out.append(": ");
      value(entry.getValue(), indent);
    } else if (value instanceof String text) {
      string(text);
    } else {
      out.append(value);
    }
  }

  private void block(char open, char close, Iterable<?> elements, int indent) {
    out.append(open);
    String separator = "\n";
    for (Object element : elements) {
      out.append(separator).append("  ".repeat(indent + 1));
      value(element, indent + 1);
      separator = ",\n";
    }
    if (separator.startsWith(",")) {
      out.append('\n').append("  ".repeat(indent));
    }
    out.append(close);
  }

  private void string(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < 0x20) {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }
}
