package org.kvm4j.vmm.cli;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.kvm4j.vmm.MachineConfig;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A size of memory: a number of bytes, or of K, M, G (powers of 1,024). */
record MemorySize(long bytes) {

  private static final Pattern SIZE = Pattern.compile("(\\d{1,18})([KMGT]?)(i?B)?");

  /** More than any guest-physical address space here holds. */
  private static final long LIMIT = 1L << 40;

  /** The reader of command lines asks each value for it; a record's own takes the JVM 40 ms. */
  @Override
  public String toString() {
    return bytes + " bytes";
  }

  /** Reads the option. */
  static final class Converter implements ITypeConverter<MemorySize> {
    @Override
    public MemorySize convert(String text) {
      Matcher matcher = SIZE.matcher(text.toUpperCase(Locale.ROOT).replace("IB", "iB"));
      if (!matcher.matches()) {
        throw new TypeConversionException(
            "'" + text + "' is no size of memory: give a number with K, M or G, such as 64M");
      }
      long number = Long.parseLong(matcher.group(1));
      int shift = matcher.group(2).isEmpty() ? 0 : 10 * ("KMGT".indexOf(matcher.group(2)) + 1);
      if (number == 0) {
        throw new TypeConversionException("a guest cannot run in 0 bytes of memory");
      }
      if (number > LIMIT >> shift) {
        throw new TypeConversionException(
            "'" + text + "' is more memory than the 1T a guest can have");
      }
      long bytes = number << shift;
      if (bytes % MachineConfig.PAGE_SIZE != 0) {
        throw new TypeConversionException(
            "'"
                + text
                + "' is no multiple of 4K"
                + (shift == 0 && number < 1 << 20 ? ": did you mean " + number + "M?" : ""));
      }
      return new MemorySize(bytes);
    }
  }
}
