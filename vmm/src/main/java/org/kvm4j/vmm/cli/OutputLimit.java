package org.kvm4j.vmm.cli;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * How much output may become: a number of bytes, or of K, M, G (powers of 1,024); or {@code none}.
 *
 * @param bytes {@link Long#MAX_VALUE} for no limit
 * @param text as it was given
 */
record OutputLimit(long bytes, String text) {

  private static final String NONE = "none";
  private static final Pattern SIZE = Pattern.compile("(\\d{1,12})([KMGT]?)");

  /** Reads the option. */
  static final class Converter implements ITypeConverter<OutputLimit> {
    @Override
    public OutputLimit convert(String text) {
      if (text.equals(NONE)) {
        return new OutputLimit(Long.MAX_VALUE, text);
      }
      Matcher matcher = SIZE.matcher(text.toUpperCase(Locale.ROOT));
      if (!matcher.matches() || Long.parseLong(matcher.group(1)) == 0) {
        throw new TypeConversionException(
            "'" + text + "' is no size: give a number with K, M or G, such as 100M, or none");
      }
      int shift = matcher.group(2).isEmpty() ? 0 : 10 * ("KMGT".indexOf(matcher.group(2)) + 1);
      return new OutputLimit(Long.parseLong(matcher.group(1)) << shift, text);
    }
  }

  @Override
  public String toString() {
    return text;
  }
}
