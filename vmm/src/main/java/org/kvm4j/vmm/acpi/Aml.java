package org.kvm4j.vmm.acpi;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * ACPI's byte code: each method gives the bytes of one term, and terms are made of terms.
 *
 * <p>Source: ACPI Specification 6.4, section 20, "ACPI Machine Language (AML) Specification".
 */
final class Aml {

  private static final int ZERO = 0x00;
  private static final int ONE = 0x01;
  private static final int NAME = 0x08;
  private static final int BYTE = 0x0a;
  private static final int WORD = 0x0b;
  private static final int DWORD = 0x0c;
  private static final int STRING = 0x0d;
  private static final int QWORD = 0x0e;
  private static final int SCOPE = 0x10;
  private static final int BUFFER = 0x11;
  private static final int PACKAGE = 0x12;
  private static final int EXTENDED = 0x5b;
  private static final int DEVICE = 0x82;

  private static final int DUAL_NAME = 0x2e;
  private static final int MULTI_NAME = 0x2f;

  private static final int SEGMENT = 4;

  private Aml() {}

  /** {@code Name (name, value)}. */
  static byte[] name(String name, byte[] value) {
    return join(bytes(NAME), path(name), value);
  }

  /** {@code Scope (name) {terms}}. */
  static byte[] scope(String name, byte[]... terms) {
    return join(bytes(SCOPE), block(join(path(name), join(terms))));
  }

  /** {@code Device (name) {terms}}. */
  static byte[] device(String name, byte[]... terms) {
    return join(bytes(EXTENDED, DEVICE), block(join(path(name), join(terms))));
  }

  /** {@code Package () {elements}}; at most 255. */
  static byte[] packageOf(List<byte[]> elements) {
    byte[] all = join(elements.toArray(byte[][]::new));
    return join(bytes(PACKAGE), block(join(bytes(elements.size()), all)));
  }

  /** {@code Package () {elements}}. */
  static byte[] packageOf(byte[]... elements) {
    return packageOf(List.of(elements));
  }

  /** {@code Buffer () {contents}}. */
  static byte[] buffer(byte[] contents) {
    return join(bytes(BUFFER), block(join(integer(contents.length), contents)));
  }

  /** An integer, in its shortest form. */
  static byte[] integer(long value) {
    if (value == 0) {
      return bytes(ZERO);
    }
    if (value == 1) {
      return bytes(ONE);
    }
    if (value >>> 8 == 0) {
      return bytes(BYTE, (int) value);
    }
    if (value >>> 16 == 0) {
      return join(bytes(WORD), littleEndian(value, 2));
    }
    return value >>> 32 == 0
        ? join(bytes(DWORD), littleEndian(value, 4))
        : join(bytes(QWORD), littleEndian(value, 8));
  }

  /** A string of ASCII characters. */
  static byte[] string(String text) {
    return join(bytes(STRING), text.getBytes(StandardCharsets.US_ASCII), bytes(0));
  }

  /**
   * {@code EisaId (id)}: a hardware id of three letters and four hexadecimal digits in 32 bits.
   *
   * <p>Source: section 19.6.36, "EISAID (EISA ID String To Integer Conversion Macro)".
   */
  static byte[] eisaId(String id) {
    int letters = 0;
    for (int i = 0; i < 3; i++) {
      letters = letters << 5 | id.charAt(i) - '@';
    }
    int packed = letters << 16 | Integer.parseInt(id.substring(3), 16);
    return integer(Integer.toUnsignedLong(Integer.reverseBytes(packed)));
  }

  /** A path as {@code \_SB.PCI0}: its segments are filled up with underscores. */
  static byte[] path(String path) {
    boolean root = path.startsWith("\\");
    String[] segments = (root ? path.substring(1) : path).split("\\.", -1);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    if (root) {
      out.write('\\');
    }
    if (segments.length == 2) {
      out.write(DUAL_NAME);
    } else if (segments.length > 2) {
      out.write(MULTI_NAME);
      out.write(segments.length);
    }
    for (String segment : segments) {
      out.writeBytes(segment.getBytes(StandardCharsets.US_ASCII));
      for (int i = segment.length(); i < SEGMENT; i++) {
        out.write('_');
      }
    }
    return out.toByteArray();
  }

  /** A block behind its length, which counts itself: 1 byte to 63, else more, with 4 bits first. */
  private static byte[] block(byte[] contents) {
    if (contents.length + 1 < 0x40) {
      return join(bytes(contents.length + 1), contents);
    }
    int more = 1;
    while (contents.length + 1 + more >= 1 << (4 + 8 * more)) {
      more++;
    }
    int length = contents.length + 1 + more;
    return join(bytes(more << 6 | length & 0xf), littleEndian(length >> 4, more), contents);
  }

  static byte[] littleEndian(long value, int size) {
    byte[] all = new byte[8];
    ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN).putLong(value);
    byte[] bytes = new byte[size];
    System.arraycopy(all, 0, bytes, 0, size);
    return bytes;
  }

  static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }

  /** One after the other. */
  static byte[] join(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }
}
