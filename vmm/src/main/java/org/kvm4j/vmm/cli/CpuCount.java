package org.kvm4j.vmm.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** How many processors a guest has. What the most are, only the kernel knows. */
record CpuCount(int value) {

  /** The reader of command lines asks each value for it; a record's own takes the JVM 40 ms. */
  @Override
  public String toString() {
    return String.valueOf(value);
  }

  /** Reads the option. */
  static final class Converter implements ITypeConverter<CpuCount> {
    @Override
    public CpuCount convert(String text) {
      int value = text.matches("\\d{1,9}") ? Integer.parseInt(text) : 0;
      if (value < 1) {
        throw new TypeConversionException("'" + text + "' is no number of processors, 1 or more");
      }
      return new CpuCount(value);
    }
  }
}
