package org.kvm4j.vmm.cli;

import java.math.BigDecimal;
import java.time.Duration;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A time in seconds, such as 30 or 0.5. */
record Seconds(Duration duration) {

  /** What Java takes for a number is more: {@code 0x1p4}, {@code 5f}, spaces. */
  private static final Pattern NUMBER =
      Pattern.compile("(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d{1,4})?");

  /** Some 30 years: more would mean that a digit too many was typed. */
  private static final double LIMIT = 1e9;

  /** Reads the option. */
  static final class Converter implements ITypeConverter<Seconds> {
    @Override
    public Seconds convert(String text) {
      double seconds = NUMBER.matcher(text).matches() ? Double.parseDouble(text) : Double.NaN;
      if (!(seconds > 0 && seconds < LIMIT)) {
        throw new TypeConversionException(
            "'" + text + "' is no number of seconds above 0 and below 1e9, such as 30 or 0.5");
      }
      return new Seconds(Duration.ofNanos(Math.max(1, (long) (seconds * 1e9))));
    }
  }

  /** In seconds, as short as it can be written: 30, 0.5. */
  @Override
  public String toString() {
    return BigDecimal.valueOf(duration.toNanos(), 9).stripTrailingZeros().toPlainString();
  }
}
