package org.kvm4j.conformance.guests;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.ByteArrayOutputStream;

/**
 * An archive as Linux takes it for an initial RAM disk, in the "newc" format. Several one behind
 * the other, compressed or not, count as one.
 *
 * <p>Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
 */
final class CpioArchive {
  private static final int DIRECTORY = 0040755;
  private static final int PROGRAM = 0100755;
  private static final String END = "TRAILER!!!";

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private int inode;

  CpioArchive directory(String name) {
    return entry(name, DIRECTORY, new byte[0]);
  }

  CpioArchive program(String name, byte[] content) {
    return entry(name, PROGRAM, content);
  }

  /** The whole archive; nothing can be added to it then. */
  byte[] bytes() {
    entry(END, 0, new byte[0]);
    return out.toByteArray();
  }

  private CpioArchive entry(String name, int mode, byte[] content) {
    inode++;
    int[] header = {
      inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length() + 1, 0,
    };
    StringBuilder text = new StringBuilder("070701");
    for (int field : header) {
      text.append("%08x".formatted(field));
    }
    out.writeBytes((text + name + "\0").getBytes(US_ASCII));
    pad();
    out.writeBytes(content);
    pad();
    return this;
  }

  private void pad() {
    while (out.size() % 4 != 0) {
      out.write(0);
    }
  }
}
