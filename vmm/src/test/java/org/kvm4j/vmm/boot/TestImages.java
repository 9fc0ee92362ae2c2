package org.kvm4j.vmm.boot;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Makes guests' files that are as they should be, to be spoilt by tests. */
final class TestImages {

  private TestImages() {}

  static GuestFile file(byte[] bytes) {
    return new GuestFile("kernel", "test.bin", bytes);
  }

  /** A Linux image of protocol 2.12 with a 64-bit entry: two sectors of setup, and a payload. */
  static ByteBuffer linux(int payload) {
    ByteBuffer image = ByteBuffer.allocate(3 * 512 + payload).order(ByteOrder.LITTLE_ENDIAN);
    image.put(0x1f1, (byte) 2); // setup_sects
    image.putInt(0x1f4, (payload + 15) / 16); // syssize
    image.putShort(0x1fe, (short) 0xaa55);
    image.put(0x200, (byte) 0xeb);
    image.put(0x201, (byte) 0x66); // the header ends at 0x268
    image.putInt(0x202, 0x5372_6448);
    image.putShort(0x206, (short) 0x20c);
    image.put(0x211, (byte) 0x01); // LOADED_HIGH
    image.putInt(0x214, 0x10_0000); // code32_start
    image.putInt(0x22c, 0x7fff_ffff); // initrd_addr_max
    image.putInt(0x230, 0x1000); // kernel_alignment
    image.putShort(0x236, (short) 0x01); // XLF_KERNEL_64
    image.putInt(0x238, 255); // cmdline_size
    image.putLong(0x258, 0x10_0000); // pref_address
    image.putInt(0x260, payload); // init_size
    for (int i = 3 * 512; i < image.capacity(); i++) {
      image.put(i, (byte) (i * 7));
    }
    return image;
  }

  /**
   * A 32-bit ELF multiboot kernel: one segment of 0x100 bytes from 0x80 of the file, 0x300 in
   * memory.
   */
  static ByteBuffer multiboot() {
    ByteBuffer image = ByteBuffer.allocate(0x180).order(ByteOrder.LITTLE_ENDIAN);
    image.putInt(0, 0x464c_457f);
    image.put(4, (byte) 1); // 32 bits
    image.put(5, (byte) 1); // little endian
    image.put(6, (byte) 1);
    image.putShort(16, (short) 2); // executable
    image.putShort(18, (short) 3); // EM_386
    image.putInt(24, 0x10_0010); // entry
    image.putInt(28, 52); // program headers
    image.putShort(42, (short) 32);
    image.putShort(44, (short) 1);
    image.putInt(52, 1); // PT_LOAD
    image.putInt(56, 0x80); // offset
    image.putInt(60, 0x10_0000); // virtual
    image.putInt(64, 0x10_0000); // physical
    image.putInt(68, 0x100); // in the file
    image.putInt(72, 0x300); // in memory
    image.putInt(0x80, 0x1bad_b002);
    image.putInt(0x84, 3);
    image.putInt(0x88, -(0x1bad_b002 + 3));
    for (int i = 0x90; i < 0x180; i++) {
      image.put(i, (byte) i);
    }
    return image;
  }
}
