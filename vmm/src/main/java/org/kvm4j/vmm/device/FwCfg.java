package org.kvm4j.vmm.device;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.kvm4j.vmm.memory.GuestRam;

/**
 * QEMU's firmware configuration device: items by number and files by name, which a guest reads from
 * port 0x511 byte for byte once it has chosen one at port 0x510, or has copied to memory.
 *
 * <p>Source: QEMU's documentation, docs/specs/fw_cfg, "QEMU Firmware Configuration (fw_cfg)
 * Device".
 */
public final class FwCfg implements PortDevice {

  /** The first of its ports. */
  public static final int PORT = 0x510;

  /** How many ports it takes. */
  public static final int PORTS = 12;

  /** Bytes of RAM, 64 bits. */
  public static final int RAM_SIZE = 0x03;

  /** How many processors run, 16 bits. */
  public static final int CPUS = 0x05;

  /** One more than the greatest APIC id, 16 bits. */
  public static final int MAX_CPUS = 0x0f;

  private static final int SIGNATURE = 0x00;
  private static final int ID = 0x01;
  private static final int FILE_DIRECTORY = 0x19;
  private static final int FIRST_FILE = 0x20;
  private static final int FILE_NAME_SIZE = 56;

  /** The traditional interface, and DMA. */
  private static final int FEATURES = 3;

  private static final int SELECTOR = 0;
  private static final int DATA = 1;
  private static final int DMA_HIGH = 4;
  private static final int DMA_LOW = 8;

  /** What the DMA address register reads as: "QEMU CFG", big endian. */
  private static final long DMA_SIGNATURE = 0x5145_4d55_2043_4647L;

  private static final int DMA_STRUCTURE_SIZE = 16;
  private static final int DMA_ERROR = 1 << 0;
  private static final int DMA_READ = 1 << 1;
  private static final int DMA_SKIP = 1 << 2;
  private static final int DMA_SELECT = 1 << 3;
  private static final int DMA_WRITE = 1 << 4;

  private final GuestRam memory;
  private final Map<Integer, byte[]> items = new HashMap<>();
  private final Map<String, byte[]> files = new TreeMap<>();
  private byte[] item = {};
  private long position;
  private int dmaAddressHigh;

  /**
   * @param memory where it copies to
   */
  public FwCfg(GuestRam memory) {
    this.memory = memory;
    put(SIGNATURE, "QEMU".getBytes(StandardCharsets.US_ASCII));
    put(ID, FEATURES, 4);
    putDirectory();
  }

  /** Adds an item; before the machine runs. */
  public void put(int key, byte[] contents) {
    items.put(key, contents.clone());
  }

  /** Adds a number as an item: so many bytes, little endian. */
  public void put(int key, long value, int size) {
    byte[] bytes = new byte[size];
    for (int i = 0; i < size; i++) {
      bytes[i] = (byte) (value >>> (8 * i));
    }
    put(key, bytes);
  }

  /** Adds a file; before the machine runs. */
  public void putFile(String name, byte[] contents) {
    if (name.length() >= FILE_NAME_SIZE) {
      throw new IllegalArgumentException("a file name of more than 55 characters: " + name);
    }
    files.put(name, contents.clone());
    putDirectory();
  }

  /** Files have the numbers from 0x20 on, by name. */
  private void putDirectory() {
    ByteArrayOutputStream directory = new ByteArrayOutputStream();
    directory.writeBytes(ByteBuffer.allocate(4).putInt(files.size()).array());
    int key = FIRST_FILE;
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      ByteBuffer entry = ByteBuffer.allocate(8 + FILE_NAME_SIZE);
      entry.putInt(file.getValue().length).putShort((short) key).putShort((short) 0);
      entry.put(file.getKey().getBytes(StandardCharsets.US_ASCII));
      directory.writeBytes(entry.array());
      put(key++, file.getValue());
    }
    put(FILE_DIRECTORY, directory.toByteArray());
  }

  @Override
  public synchronized int read(int offset, int size) {
    if (offset == DATA && size == 1) {
      return next();
    }
    if (offset >= DMA_HIGH) {
      // Big endian: the first byte is the highest.
      long shifted = Long.reverseBytes(DMA_SIGNATURE) >>> (8 * (offset - DMA_HIGH));
      return (int) shifted;
    }
    return 0;
  }

  @Override
  public synchronized void write(int offset, int size, int value) {
    if (offset == SELECTOR && size == 2) {
      select(value);
    } else if (offset == DMA_HIGH && size == 4) {
      dmaAddressHigh = Integer.reverseBytes(value);
    } else if (offset == DMA_LOW && size == 4) {
      long low = Integer.reverseBytes(value) & 0xffff_ffffL;
      transfer((long) dmaAddressHigh << 32 | low);
      dmaAddressHigh = 0;
    }
  }

  /** A number that nothing has chooses an empty item. */
  private void select(int key) {
    item = items.getOrDefault(key & 0xffff, new byte[0]);
    position = 0;
  }

  /** Past an item's end there are zeros. */
  private int next() {
    int value = position < item.length ? item[(int) position] & 0xff : 0;
    position++;
    return value;
  }

  /** Does what a structure in guest memory asks for, and leaves there whether it went well. */
  private void transfer(long at) {
    if (!memory.contains(at, DMA_STRUCTURE_SIZE)) {
      return; // There is nowhere to tell of it.
    }
    ByteBuffer request = ByteBuffer.wrap(memory.read(at, DMA_STRUCTURE_SIZE));
    int control = request.getInt(0);
    long length = request.getInt(4) & 0xffff_ffffL;
    long address = request.getLong(8);
    if ((control & DMA_SELECT) != 0) {
      select(control >>> 16);
    }
    int result = 0;
    if ((control & DMA_READ) != 0) {
      result = copy(address, length) ? 0 : DMA_ERROR;
    } else if ((control & DMA_WRITE) != 0) {
      result = DMA_ERROR; // Nothing here can be written.
    } else if ((control & DMA_SKIP) != 0) {
      position += length;
    }
    memory.putInt(at, Integer.reverseBytes(result));
  }

  private boolean copy(long address, long length) {
    if (!memory.contains(address, length)) {
      return false;
    }
    int there = (int) Math.min(length, Math.max(0, item.length - position));
    if (there > 0) {
      memory.write(address, item, (int) position, there);
    }
    memory.clear(address + there, length - there);
    position += length;
    return true;
  }
}
