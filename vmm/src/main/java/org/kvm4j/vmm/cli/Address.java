package org.kvm4j.vmm.cli;

import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A guest-physical address: decimal, or hexadecimal with 0x. */
record Address(long value) {

  /** Reads the option. */
  static final class Converter implements ITypeConverter<Address> {
    @Override
    public Address convert(String text) {
      String lower = text.toLowerCase(Locale.ROOT);
      try {
        long value =
            lower.startsWith("0x")
                ? Long.parseUnsignedLong(lower.substring(2), 16)
                : Long.parseLong(lower);
        if (value < 0) {
          throw new NumberFormatException();
        }
        return new Address(value);
      } catch (NumberFormatException e) {
        throw new TypeConversionException("'" + text + "' is no address, such as 0x100000");
      }
    }
  }
}
