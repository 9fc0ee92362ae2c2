package org.kvm4j.vmm.demo;

import java.util.List;
import org.kvm4j.vmm.device.Uart16550;

/**
 * Exits of one kind that followed each other: from the same port or address, by the same size.
 *
 * @param reason {@code "IO in"}, {@code "IO out"}, {@code "MMIO read"}, {@code "MMIO write"}, or
 *     what else there was
 * @param location the port or guest-physical address; -1 where there is none
 * @param size of an access in bytes; 0 where there is none
 * @param count how many exits
 * @param values what was read or written, one for each element, the first {@link #MOST_VALUES} of
 *     them
 */
public record ExitGroup(String reason, long location, int size, int count, List<Long> values) {

  /** More values are not kept. */
  public static final int MOST_VALUES = 4096;

  public ExitGroup {
    values = List.copyOf(values);
  }

  /**
   * Where, such as {@code "0x3f8"}; with the size, where it is not a byte. Empty where there is
   * none.
   */
  public String where() {
    if (location < 0) {
      return "";
    }
    return "0x" + Long.toHexString(location) + (size == 1 ? "" : "/" + size);
  }

  /**
   * What was read or written: text in quotes, if all are bytes of text, otherwise numbers.
   *
   * @param width so many characters at most; a text that is cut ends with an ellipsis
   */
  public String what(int width) {
    if (values.isEmpty()) {
      return "";
    }
    // A byte or two that happen to be letters are numbers still, unless a console gets them.
    boolean text =
        size == 1
            && (location == Uart16550.COM1 || values.size() >= 4)
            && values.stream().allMatch(ExitGroup::printable);
    if (text) {
      StringBuilder quoted = new StringBuilder("\"");
      for (long value : values) {
        String next = value == '\n' ? "\\n" : Character.toString((char) value);
        if (quoted.length() + next.length() + 1 > width) {
          return quoted.substring(0, Math.max(1, Math.min(quoted.length(), width - 2)))
              + "\u2026\"";
        }
        quoted.append(next);
      }
      return quoted.append('"').toString();
    }
    StringBuilder numbers = new StringBuilder();
    long last = -1;
    for (int i = 0; i < values.size(); i++) {
      if (i > 0 && values.get(i) == last) {
        continue;
      }
      last = values.get(i);
      String next = (numbers.length() == 0 ? "" : " ") + "0x" + Long.toHexString(last);
      if (numbers.length() + next.length() + 2 > width) {
        return numbers.append(" \u2026").toString();
      }
      numbers.append(next);
    }
    return numbers.toString();
  }

  private static boolean printable(long value) {
    return (value >= ' ' && value < 0x7f) || value == '\n';
  }
}
