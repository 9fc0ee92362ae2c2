package org.kvm4j.vmm.virtio;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * A disk. Requests are done one after the other; a flush returns when what was written before is
 * kept, whatever becomes of this process or the machine.
 *
 * <p>Source: Virtual I/O Device Version 1.2, section 5.2, "Block Device".
 */
public final class VirtioBlock extends VirtioDevice {

  private static final Logger LOG = System.getLogger(VirtioBlock.class.getName());

  private static final int TYPE = 2;
  private static final int PCI_CLASS = 0x01_0000;

  private static final long F_SIZE_MAX = 1 << 1;
  private static final long F_SEG_MAX = 1 << 2;
  private static final long F_GEOMETRY = 1 << 4;
  private static final long F_READ_ONLY = 1 << 5;
  private static final long F_BLOCK_SIZE = 1 << 6;
  private static final long F_FLUSH = 1 << 9;
  private static final long F_DISCARD = 1 << 13;
  private static final long F_WRITE_ZEROES = 1 << 14;

  private static final int REQUEST_IN = 0;
  private static final int REQUEST_OUT = 1;
  private static final int REQUEST_FLUSH = 4;
  private static final int REQUEST_ID = 8;
  private static final int REQUEST_DISCARD = 11;
  private static final int REQUEST_WRITE_ZEROES = 13;

  private static final int OK = 0;
  private static final int IO_ERROR = 1;
  private static final int UNSUPPORTED = 2;

  /** The unit of everything, in bytes. */
  public static final int SECTOR = 512;

  private static final int HEADER_SIZE = 16;
  private static final int ID_SIZE = 20;
  private static final int RANGE_SIZE = 16;
  private static final int UNMAP = 1;

  private static final int MOST_SEGMENTS = QUEUE_SIZE - 2;
  private static final int SEGMENT_SIZE = 1 << 20;
  private static final int MOST_RANGES = 16;
  private static final int MOST_RANGE_SECTORS = 1 << 16;

  private static final int HEADS = 16;
  private static final int SECTORS_PER_TRACK = 63;

  private final Storage storage;
  private final byte[] id = new byte[ID_SIZE];
  private final byte[] config;
  private final byte[] header = new byte[HEADER_SIZE];
  private final byte[] buffer = new byte[1 << 16];
  private final byte[] zeroes = new byte[1 << 16];
  private boolean writeThrough;

  /**
   * @param storage where its contents are
   * @param serial its serial number; what is longer than 20 bytes is cut
   */
  public VirtioBlock(Storage storage, String serial) {
    this.storage = storage;
    byte[] text = serial.getBytes(StandardCharsets.UTF_8);
    System.arraycopy(text, 0, id, 0, Math.min(text.length, ID_SIZE));
    config = makeConfig();
  }

  private byte[] makeConfig() {
    long sectors = sectors();
    long cylinders = Math.min(0xffff, sectors / (HEADS * SECTORS_PER_TRACK));
    ByteBuffer space = ByteBuffer.allocate(60).order(ByteOrder.LITTLE_ENDIAN);
    space.putLong(0, sectors);
    space.putInt(8, SEGMENT_SIZE);
    space.putInt(12, MOST_SEGMENTS);
    space.putShort(16, (short) cylinders);
    space.put(18, (byte) HEADS);
    space.put(19, (byte) SECTORS_PER_TRACK);
    space.putInt(20, SECTOR);
    space.putInt(36, MOST_RANGE_SECTORS); // discard
    space.putInt(40, MOST_RANGES);
    space.putInt(44, 1); // its alignment in sectors
    space.putInt(48, MOST_RANGE_SECTORS); // write zeroes
    space.putInt(52, MOST_RANGES);
    space.put(56, (byte) 1); // may unmap
    return space.array();
  }

  private long sectors() {
    return storage.size() / SECTOR;
  }

  @Override
  int type() {
    return TYPE;
  }

  @Override
  int pciClass() {
    return PCI_CLASS;
  }

  @Override
  public String name() {
    return "disk " + storage.name();
  }

  @Override
  long features() {
    long common = F_SIZE_MAX | F_SEG_MAX | F_GEOMETRY | F_BLOCK_SIZE | F_FLUSH;
    return common | (storage.readOnly() ? F_READ_ONLY : F_DISCARD | F_WRITE_ZEROES);
  }

  @Override
  int queues() {
    return 1;
  }

  @Override
  byte[] config() {
    return config;
  }

  @Override
  void start(long agreed) {
    // A driver that knows no flush expects what it has written to be kept.
    writeThrough = (agreed & F_FLUSH) == 0;
  }

  @Override
  boolean process(int index, Virtqueue queue) throws DriverErrorException {
    while (queue.next()) {
      Chain chain = queue.chain();
      if (chain.readableLength() < HEADER_SIZE || chain.writableLength() < 1) {
        throw new DriverErrorException("a request without a header or a status");
      }
      long dataLength = chain.writableLength() - 1;
      int status;
      try {
        status = request(chain, dataLength);
      } catch (IOException e) {
        LOG.log(Level.DEBUG, name() + ": " + e.getMessage());
        status = IO_ERROR;
      }
      buffer[0] = (byte) status;
      chain.write(dataLength, buffer, 0, 1);
      queue.complete(chain.head(), chain.writableLength());
    }
    return true;
  }

  private int request(Chain chain, long writable) throws IOException {
    chain.read(0, header, 0, HEADER_SIZE);
    ByteBuffer fields = ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN);
    long sector = fields.getLong(8);
    long readable = chain.readableLength() - HEADER_SIZE;
    switch (fields.getInt(0)) {
      case REQUEST_IN:
        return read(chain, sector, writable);
      case REQUEST_OUT:
        return storage.readOnly() ? IO_ERROR : write(chain, sector, readable);
      case REQUEST_FLUSH:
        storage.flush();
        return OK;
      case REQUEST_ID:
        chain.write(0, id, 0, (int) Math.min(ID_SIZE, writable));
        return OK;
      case REQUEST_DISCARD:
        return storage.readOnly() ? UNSUPPORTED : ranges(chain, readable, false);
      case REQUEST_WRITE_ZEROES:
        return storage.readOnly() ? UNSUPPORTED : ranges(chain, readable, true);
      default:
        return UNSUPPORTED;
    }
  }

  /** Whether so many bytes from a sector on are whole sectors of the disk. */
  private boolean valid(long sector, long length) {
    return length % SECTOR == 0
        && length <= (long) MOST_SEGMENTS * SEGMENT_SIZE
        && within(sector, length / SECTOR);
  }

  private boolean within(long sector, long count) {
    return sector >= 0 && sector <= sectors() && count <= sectors() - sector;
  }

  private int read(Chain chain, long sector, long length) throws IOException {
    if (!valid(sector, length)) {
      return IO_ERROR;
    }
    for (long done = 0; done < length; ) {
      int part = (int) Math.min(buffer.length, length - done);
      storage.read(sector * SECTOR + done, buffer, part);
      chain.write(done, buffer, 0, part);
      done += part;
    }
    return OK;
  }

  private int write(Chain chain, long sector, long length) throws IOException {
    if (!valid(sector, length)) {
      return IO_ERROR;
    }
    for (long done = 0; done < length; ) {
      int part = (int) Math.min(buffer.length, length - done);
      chain.read(HEADER_SIZE + done, buffer, 0, part);
      storage.write(sector * SECTOR + done, buffer, part);
      done += part;
    }
    return kept();
  }

  private int kept() throws IOException {
    if (writeThrough) {
      storage.flush();
    }
    return OK;
  }

  /**
   * Discards ranges of sectors, or fills them with zeros. All are checked before one is touched.
   */
  private int ranges(Chain chain, long length, boolean zero) throws IOException {
    if (length == 0 || length % RANGE_SIZE != 0 || length / RANGE_SIZE > MOST_RANGES) {
      return IO_ERROR;
    }
    byte[] bytes = new byte[(int) length];
    chain.read(HEADER_SIZE, bytes, 0, (int) length);
    ByteBuffer ranges = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (int at = 0; at < length; at += RANGE_SIZE) {
      if ((ranges.getInt(at + 12) & ~(zero ? UNMAP : 0)) != 0) {
        return UNSUPPORTED;
      }
      long count = ranges.getInt(at + 8) & 0xffff_ffffL;
      if (count > MOST_RANGE_SECTORS || !within(ranges.getLong(at), count)) {
        return IO_ERROR;
      }
    }
    // What was discarded may be anything: it stays what it was.
    for (int at = 0; zero && at < length; at += RANGE_SIZE) {
      writeZeroes(ranges.getLong(at) * SECTOR, ranges.getInt(at + 8) * (long) SECTOR);
    }
    return kept();
  }

  private void writeZeroes(long position, long length) throws IOException {
    for (long done = 0; done < length; ) {
      int part = (int) Math.min(zeroes.length, length - done);
      storage.write(position + done, zeroes, part);
      done += part;
    }
  }
}
