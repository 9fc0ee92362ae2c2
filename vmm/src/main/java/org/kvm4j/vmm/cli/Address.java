package org.kvm4j.vmm.cli;

import java.util.Locale;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * A guest-physical address: hexadecimal, with 0x. Without it only a single digit will do, which is
 * the same in both: 100000 may mean 0x100000 or 0x186a0, and the wrong one would run something
 * else.
 */
record Address(long value) {

  private static final Pattern HEXADECIMAL = Pattern.compile("0x0*[0-9a-f]{1,16}");
  private static final Pattern DIGITS = Pattern.compile("\\d{1,18}");

  /** Reads the option. */
  static final class Converter implements ITypeConverter<Address> {
    @Override
    public Address convert(String text) {
      String lower = text.toLowerCase(Locale.ROOT);
      if (DIGITS.matcher(lower).matches()) {
        long decimal = Long.parseLong(lower);
        if (decimal < 10) {
          return new Address(decimal);
        }
        throw new TypeConversionException(
            String.format(
                "'%s' may be hexadecimal or decimal: say 0x%s, or 0x%x for the decimal number",
                text, lower, decimal));
      }
      long value =
          HEXADECIMAL.matcher(lower).matches()
              ? Long.parseUnsignedLong(lower.substring(2), 16)
              : -1;
      if (value < 0) {
        throw new TypeConversionException("'" + text + "' is no address, such as 0x100000");
      }
      return new Address(value);
    }
  }
}
