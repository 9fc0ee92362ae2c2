package org.kvm4j.vmm.cli;

import java.util.Locale;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A field's value: hexadecimal with 0x, or decimal; up to 64 bits. */
record FieldValue(long value) {

  private static final Pattern HEXADECIMAL = Pattern.compile("0x0*[0-9a-f]{1,16}");
  private static final Pattern DIGITS = Pattern.compile("\\d{1,18}");

  /** The value of a field of 32 bits. */
  int value32(String option) {
    if (value >>> 32 != 0) {
      throw new CommandException(
          ExitCodes.USAGE, String.format("%s has 32 bits, and 0x%x does not fit", option, value));
    }
    return (int) value;
  }

  /** Reads the option. */
  static final class Converter implements ITypeConverter<FieldValue> {
    @Override
    public FieldValue convert(String text) {
      String lower = text.toLowerCase(Locale.ROOT);
      if (DIGITS.matcher(lower).matches()) {
        return new FieldValue(Long.parseLong(lower));
      }
      if (HEXADECIMAL.matcher(lower).matches()) {
        return new FieldValue(Long.parseUnsignedLong(lower.replaceFirst("0x0*(?=.)", ""), 16));
      }
      throw new TypeConversionException("'" + text + "' is no number, such as 48 or 0x184");
    }
  }
}
