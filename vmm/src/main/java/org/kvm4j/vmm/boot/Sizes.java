package org.kvm4j.vmm.boot;

/** Sizes of memory and files in words. */
public final class Sizes {

  private Sizes() {}

  /** Such as {@code "64M"}, {@code "1.5K"} or {@code "100 bytes"}; exact where that is short. */
  public static String format(long bytes) {
    if (bytes < 1024) {
      return bytes + (bytes == 1 ? " byte" : " bytes");
    }
    String units = "KMGTPE";
    int unit = 63 - Long.numberOfLeadingZeros(bytes);
    unit = unit / 10;
    double value = bytes / (double) (1L << (10 * unit));
    String number =
        value == Math.rint(value) ? Long.toString((long) value) : String.format("%.1f", value);
    return number + units.charAt(unit - 1);
  }
}
