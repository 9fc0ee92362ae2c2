package org.kvm4j.ept.memory;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/**
 * Host-physical memory: the memory of the emulated machine. It is made of banks of up to 1 GiB;
 * bank {@code i} holds the host-physical addresses from {@code i << 30} on in one direct
 * little-endian {@link ByteBuffer}, so that every access of a guest, a walker or a hypervisor is
 * bounds-checked, whatever address it comes with.
 *
 * <p>Memory is lazy: a region takes address space when it is mapped and memory when it is stored
 * to. A region that was unmapped comes back zeroed.
 *
 * <p>Accesses to addresses that nothing is mapped at read as all ones, and stores to them are
 * dropped, as on a bus where no device answers. Accesses may have any alignment and may cross pages
 * and banks; those that are aligned and do not cross are single loads and stores. The
 * compare-and-set forms must be aligned.
 *
 * <p>Thread-safe. Regions that are unmapped stay readable to a thread that still holds their
 * buffer, which can no longer reach anything else through it.
 */
public final class PhysicalMemory {
  /** Log2 of the largest size of a bank. */
  public static final int BANK_SHIFT = 30;

  /** Selects the offset in a bank. */
  public static final int BANK_MASK = (1 << BANK_SHIFT) - 1;

  /** Log2 of the page size. */
  public static final int PAGE_SHIFT = 12;

  /** Bytes in a page. */
  public static final int PAGE_SIZE = 1 << PAGE_SHIFT;

  static final byte[] ZERO_PAGE = new byte[PAGE_SIZE];

  private static final VarHandle INT =
      MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  /** Regions from this size on get a bank of their own while banks are plentiful. */
  private static final long OWN_BANK = 16L << 20;

  private static final long LARGE_PAGE = 2L << 20;
  private static final long BANK_SIZE = 1L << BANK_SHIFT;

  private final int physicalAddressBits;
  private final int bankLimit;
  private final TreeMap<Long, Long> regions = new TreeMap<>();
  private final CopyOnWriteArrayList<CodeWriteListener> listeners = new CopyOnWriteArrayList<>();
  private volatile @Nullable Bank[] banks = new Bank[8];

  /** Counts the changes of {@link #banks}, after each; written by one thread at a time. */
  private volatile int layout;

  /**
   * Memory without any region.
   *
   * @param physicalAddressBits width of host-physical addresses, 32 to 52
   */
  public PhysicalMemory(int physicalAddressBits) {
    if (physicalAddressBits < 32 || physicalAddressBits > 52) {
      throw new IllegalArgumentException(
          "physical addresses of " + physicalAddressBits + " bits: 32 to 52 are possible");
    }
    this.physicalAddressBits = physicalAddressBits;
    this.bankLimit = 1 << (physicalAddressBits - BANK_SHIFT);
  }

  /**
   * Makes sure, before any memory is asked for, that there is what all of it comes from.
   *
   * @throws java.io.UncheckedIOException if no directory takes the sparse file behind memory; the
   *     message names the property that chooses one
   */
  public static void prepare() {
    SparseFile.channel();
  }

  /** Width of host-physical addresses in bits. */
  public int physicalAddressBits() {
    return physicalAddressBits;
  }

  // ---- Regions

  /**
   * Maps a new zeroed region where there is room for it: regions of 1 GiB and more at a multiple of
   * 1 GiB, of 2 MiB and more at a multiple of 2 MiB. It never lies below 4 GiB, where machines have
   * devices and where {@link #mapAt} puts their memory, unless physical addresses have no more
   * bits.
   *
   * @param bytes its size, a multiple of the page size
   * @return its first host-physical address
   * @throws OutOfPhysicalMemoryException if no addresses are left, or this process gets no more
   *     address space; nothing is mapped then
   */
  public synchronized long map(long bytes) {
    checkSize(bytes);
    boolean possible = bytes <= 1L << physicalAddressBits;
    if (possible) {
      SparseFile.makeRoom(bytes);
    }
    long base = -1;
    if (possible && bytes >= OWN_BANK && (bytes >= BANK_SIZE || bankLimit > 256)) {
      base = mapBanks(bytes);
    }
    if (base < 0 && bytes < BANK_SIZE) {
      base = mapRun(bytes);
    }
    if (base < 0) {
      throw new OutOfPhysicalMemoryException(
          "no room for "
              + bytes
              + " bytes in a physical address space of "
              + physicalAddressBits
              + " bits");
    }
    regions.put(base, bytes);
    return base;
  }

  private int firstBank() {
    return bankLimit > 4 ? 4 : 1;
  }

  private long mapBanks(long bytes) {
    int count = (int) (bytes + BANK_SIZE - 1 >>> BANK_SHIFT);
    int start = firstBank();
    for (int i = start; i < start + count; i++) {
      if (i >= bankLimit) {
        return -1;
      }
      if (bankOrNull(i) != null) {
        start = i + 1;
      }
    }
    Bank[] made = new Bank[count]; // all of them, or none
    for (int i = 0; i < count; i++) {
      made[i] = Bank.whole((int) Math.min(BANK_SIZE, bytes - i * BANK_SIZE));
    }
    for (int i = 0; i < count; i++) {
      setBank(start + i, made[i]);
    }
    return (long) start << BANK_SHIFT;
  }

  private long mapRun(long bytes) {
    int pages = (int) (bytes >>> PAGE_SHIFT);
    int alignment = bytes >= LARGE_PAGE ? 512 : 1;
    for (int i = firstBank(); i < bankLimit; i++) {
      Bank bank = bankOrNull(i);
      if (bank == null) {
        bank = Bank.ofRuns(true);
        setBank(i, bank);
      }
      int page = bank.shared ? bank.findRun(pages, alignment) : -1;
      if (page >= 0) {
        bank.mapRun(page, pages);
        return ((long) i << BANK_SHIFT) + ((long) page << PAGE_SHIFT);
      }
    }
    return -1;
  }

  /**
   * Maps a new zeroed region at a given address.
   *
   * @param hpa its first host-physical address, a multiple of the page size
   * @param bytes its size, a multiple of the page size
   * @return {@code hpa}
   * @throws IllegalArgumentException if it overlaps another region or the end of the address space
   * @throws OutOfPhysicalMemoryException if this process gets no more address space
   */
  public synchronized long mapAt(long hpa, long bytes) {
    checkSize(bytes);
    if (hpa < 0 || (hpa & PAGE_SIZE - 1) != 0) {
      throw new IllegalArgumentException("%#x is not a page's address".formatted(hpa));
    }
    if (hpa + bytes < 0 || hpa + bytes > 1L << physicalAddressBits) {
      throw new IllegalArgumentException(
          "%#x bytes at %#x reach beyond the physical address space of %d bits"
              .formatted(bytes, hpa, physicalAddressBits));
    }
    Map.Entry<Long, Long> below = regions.lowerEntry(hpa + bytes);
    if (below != null && below.getKey() + below.getValue() > hpa) {
      throw new IllegalArgumentException(
          "%#x bytes at %#x overlap the region of %#x bytes at %#x"
              .formatted(bytes, hpa, below.getValue(), below.getKey()));
    }
    SparseFile.makeRoom(bytes);
    for (long at = hpa; at < hpa + bytes; at = nextBank(at)) {
      Bank bank = bankOrNull((int) (at >>> BANK_SHIFT));
      if (bank != null && bank.mapped == null) {
        throw new IllegalArgumentException(
            "%#x is in a bank that is one region already".formatted(at));
      }
    }
    for (long at = hpa; at < hpa + bytes; at = nextBank(at)) {
      int index = (int) (at >>> BANK_SHIFT);
      Bank bank = bankOrNull(index);
      long length = Math.min(nextBank(at), hpa + bytes) - at;
      if (bank == null && length == BANK_SIZE) {
        setBank(index, Bank.whole((int) BANK_SIZE));
        continue;
      }
      if (bank == null) {
        bank = Bank.ofRuns(false);
        setBank(index, bank);
      }
      bank.mapRun((int) (at & BANK_MASK) >>> PAGE_SHIFT, (int) (length >>> PAGE_SHIFT));
    }
    regions.put(hpa, bytes);
    return hpa;
  }

  private static long nextBank(long hpa) {
    return (hpa & -BANK_SIZE) + BANK_SIZE;
  }

  /**
   * Takes a region away. Listeners are told of its pages that hold code. Its memory is given back,
   * or zeroed and kept for other regions.
   *
   * @param base its first host-physical address
   * @throws IllegalArgumentException if no region begins there
   */
  public void unmap(long base) {
    long bytes;
    synchronized (this) {
      Long size = regions.get(base);
      if (size == null) {
        throw new IllegalArgumentException("no region begins at %#x".formatted(base));
      }
      bytes = size;
    }
    for (long page = base; page < base + bytes; page += PAGE_SIZE) {
      page = nextCode(page, base + bytes);
      if (page < base + bytes) {
        notifyCodeWrite(page, PAGE_SIZE);
        Objects.requireNonNull(bankAt(page)).forgetCode((int) page & BANK_MASK);
      }
    }
    synchronized (this) {
      if (regions.remove(base) == null) {
        throw new IllegalArgumentException("no region begins at %#x".formatted(base));
      }
      for (long at = base; at < base + bytes; at = nextBank(at)) {
        int index = (int) (at >>> BANK_SHIFT);
        Bank bank = Objects.requireNonNull(bankOrNull(index));
        if (bank.mapped == null) {
          setBank(index, null);
          continue;
        }
        long length = Math.min(nextBank(at), base + bytes) - at;
        bank.unmapRun((int) (at & BANK_MASK) >>> PAGE_SHIFT, (int) (length >>> PAGE_SHIFT));
        if (bank.mappedPages == 0 && (!bank.shared || sharedBanks() > 1)) {
          setBank(index, null);
        }
      }
    }
  }

  private int sharedBanks() {
    int count = 0;
    for (Bank bank : banks) {
      if (bank != null && bank.shared) {
        count++;
      }
    }
    return count;
  }

  /**
   * The first page from {@code page} on that holds code, or {@code end}; skips banks without any.
   */
  private long nextCode(long page, long end) {
    long at = page;
    while (at < end) {
      Bank bank = bankAt(at);
      if (bank == null || !bank.hasCode()) {
        at = nextBank(at);
      } else if (bank.holdsCode((int) at & BANK_MASK)) {
        return at;
      } else {
        at += PAGE_SIZE;
      }
    }
    return end;
  }

  private static void checkSize(long bytes) {
    if (bytes <= 0 || (bytes & PAGE_SIZE - 1) != 0) {
      throw new IllegalArgumentException(
          bytes + " bytes are not a multiple of the page size of " + PAGE_SIZE);
    }
  }

  private @Nullable Bank bankOrNull(int index) {
    @Nullable Bank[] all = banks;
    return index < all.length ? all[index] : null;
  }

  @SuppressWarnings("NonAtomicVolatileUpdate") // whoever calls this has the lock
  private void setBank(int index, @Nullable Bank bank) {
    @Nullable Bank[] all = banks;
    all = Arrays.copyOf(all, Math.max(all.length, Math.min(bankLimit, (index + 1) * 3 / 2)));
    all[index] = bank;
    banks = all;
    layout++;
  }

  // ---- Lookup

  /** A number that is another one after the set of banks has changed. */
  int layout() {
    return layout;
  }

  @Nullable Bank bankAt(long hpa) {
    @Nullable Bank[] all = banks;
    long index = hpa >>> BANK_SHIFT;
    return index < all.length ? all[(int) index] : null;
  }

  /**
   * The buffer of the bank that holds the page of an address, to be used with absolute positions
   * only; the offset of the address in it is {@code (int) hpa & BANK_MASK}.
   *
   * @return null if nothing is mapped there
   */
  public @Nullable ByteBuffer bank(long hpa) {
    Bank bank = bankOfPage(hpa);
    return bank == null ? null : bank.buffer;
  }

  /**
   * The bank that holds the page of an address, for who keeps a translation to it.
   *
   * @return null if nothing is mapped there
   */
  public @Nullable Bank bankOfPage(long hpa) {
    Bank bank = bankAt(hpa);
    return bank != null && bank.coversPage((int) hpa & BANK_MASK) ? bank : null;
  }

  /** Whether memory is mapped at all of {@code length} bytes, at least one, from {@code hpa} on. */
  public boolean isBacked(long hpa, int length) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank != null && bank.covers(offset, length)) {
      return true;
    }
    if (hpa + length - 1 >>> physicalAddressBits != 0) {
      return false;
    }
    for (long page = hpa & -PAGE_SIZE; page < hpa + length; page += PAGE_SIZE) {
      if (bank(page) == null) {
        return false;
      }
    }
    return true;
  }

  /**
   * A view of a part of one region, little endian, that cannot reach beyond it. Stores through it
   * are not seen by code-write listeners.
   *
   * @throws IndexOutOfBoundsException if not all of it is mapped in one bank
   */
  public ByteBuffer slice(long hpa, int length) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank == null || length > bank.buffer.capacity() - offset || !isBacked(hpa, length)) {
      throw new IndexOutOfBoundsException(
          "%#x bytes at %#x are not mapped in one bank".formatted(length, hpa));
    }
    return bank.buffer.slice(offset, length).order(ByteOrder.LITTLE_ENDIAN);
  }

  // ---- Accesses

  /** Reads a byte. */
  public byte readByte(long hpa) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    return bank != null && bank.covers(offset, 1) ? bank.buffer.get(offset) : -1;
  }

  /** Reads 2 bytes. */
  public short readShort(long hpa) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank != null && bank.covers(offset, 2)) {
      return bank.buffer.getShort(offset);
    }
    return (short) readBytewise(hpa, 2);
  }

  /** Reads 4 bytes. */
  public int readInt(long hpa) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank != null && bank.covers(offset, 4)) {
      return bank.getInt(offset);
    }
    return (int) readBytewise(hpa, 4);
  }

  /** Reads 8 bytes. */
  public long readLong(long hpa) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank != null && bank.covers(offset, 8)) {
      return bank.getLong(offset);
    }
    return readBytewise(hpa, 8);
  }

  private long readBytewise(long hpa, int size) {
    long value = 0;
    for (int i = 0; i < size; i++) {
      value |= (readByte(hpa + i) & 0xffL) << (8 * i);
    }
    return value;
  }

  /** Writes a byte. */
  public void writeByte(long hpa, byte value) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank != null && bank.covers(offset, 1)) {
      bank.buffer.put(offset, value);
    }
  }

  /** Writes 2 bytes. */
  public void writeShort(long hpa, short value) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank != null && bank.covers(offset, 2)) {
      bank.buffer.putShort(offset, value);
    } else {
      writeBytewise(hpa, value, 2);
    }
  }

  /** Writes 4 bytes. */
  public void writeInt(long hpa, int value) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank != null && bank.covers(offset, 4)) {
      bank.putInt(offset, value);
    } else {
      writeBytewise(hpa, value, 4);
    }
  }

  /** Writes 8 bytes. */
  public void writeLong(long hpa, long value) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank != null && bank.covers(offset, 8)) {
      bank.putLong(offset, value);
    } else {
      writeBytewise(hpa, value, 8);
    }
  }

  private void writeBytewise(long hpa, long value, int size) {
    for (int i = 0; i < size; i++) {
      writeByte(hpa + i, (byte) (value >>> 8 * i));
    }
  }

  /**
   * Sets 4 bytes at an aligned address to a value if they have the expected one, atomically.
   *
   * @return whether they had; where nothing is mapped, whether all ones were expected
   * @throws IllegalArgumentException if the address is not a multiple of 4
   */
  public boolean compareAndSetInt(long hpa, int expected, int value) {
    checkAligned(hpa, 4);
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank == null || !bank.covers(offset, 4)) {
      return expected == -1;
    }
    return INT.compareAndSet(bank.buffer, offset, expected, value);
  }

  /**
   * Sets 8 bytes at an aligned address to a value if they have the expected one, atomically.
   *
   * @return whether they had; where nothing is mapped, whether all ones were expected
   * @throws IllegalArgumentException if the address is not a multiple of 8
   */
  public boolean compareAndSetLong(long hpa, long expected, long value) {
    checkAligned(hpa, 8);
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank == null || !bank.covers(offset, 8)) {
      return expected == -1;
    }
    return LONG.compareAndSet(bank.buffer, offset, expected, value);
  }

  /**
   * Sets 8 bytes at an aligned address to a value, atomically.
   *
   * @return what they were; all ones where nothing is mapped
   * @throws IllegalArgumentException if the address is not a multiple of 8
   */
  public long getAndSetLong(long hpa, long value) {
    checkAligned(hpa, 8);
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    if (bank == null || !bank.covers(offset, 8)) {
      return -1;
    }
    return (long) LONG.getAndSet(bank.buffer, offset, value);
  }

  private static void checkAligned(long hpa, int size) {
    if ((hpa & size - 1) != 0) {
      throw new IllegalArgumentException(
          "%#x is not a multiple of %d, as an atomic access needs".formatted(hpa, size));
    }
  }

  /** Fills an array from memory. */
  public void read(long hpa, byte[] target) {
    read(hpa, target, 0, target.length);
  }

  /** Copies bytes out of memory; those that are not mapped read as all ones. */
  public void read(long hpa, byte[] target, int targetOffset, int length) {
    Objects.checkFromIndexSize(targetOffset, length, target.length);
    int done = 0;
    while (done < length) {
      Bank bank = bankAt(hpa + done);
      int offset = (int) (hpa + done) & BANK_MASK;
      int chunk = chunk(bank, offset, length - done);
      if (bank != null && bank.covers(offset, chunk)) {
        bank.buffer.get(offset, target, targetOffset + done, chunk);
      } else {
        Arrays.fill(target, targetOffset + done, targetOffset + done + chunk, (byte) -1);
      }
      done += chunk;
    }
  }

  /** Copies an array into memory. */
  public void write(long hpa, byte[] source) {
    write(hpa, source, 0, source.length);
  }

  /** Copies bytes into memory; those for addresses that are not mapped are dropped. */
  public void write(long hpa, byte[] source, int sourceOffset, int length) {
    Objects.checkFromIndexSize(sourceOffset, length, source.length);
    int done = 0;
    while (done < length) {
      Bank bank = bankAt(hpa + done);
      int offset = (int) (hpa + done) & BANK_MASK;
      int chunk = chunk(bank, offset, length - done);
      if (bank != null && bank.covers(offset, chunk)) {
        bank.buffer.put(offset, source, sourceOffset + done, chunk);
      }
      done += chunk;
    }
  }

  /** Sets bytes to a value. */
  public void fill(long hpa, long length, byte value) {
    byte[] page = ZERO_PAGE;
    if (value != 0) {
      page = new byte[PAGE_SIZE];
      Arrays.fill(page, value);
    }
    long done = 0;
    while (done < length) {
      int chunk = (int) Math.min(length - done, PAGE_SIZE - (hpa + done & PAGE_SIZE - 1));
      if (value == 0 && chunk == PAGE_SIZE) {
        Bank bank = bankAt(hpa + done);
        int offset = (int) (hpa + done) & BANK_MASK;
        if (bank != null && bank.coversPage(offset)) {
          bank.zero(offset);
        }
      } else {
        write(hpa + done, page, 0, chunk);
      }
      done += chunk;
    }
  }

  /** How many of {@code length} bytes at an offset are mapped, or not mapped, alike. */
  private static int chunk(@Nullable Bank bank, int offset, int length) {
    if (bank != null && offset < bank.solid) {
      return Math.min(length, bank.solid - offset);
    }
    return Math.min(length, PAGE_SIZE - (offset & PAGE_SIZE - 1));
  }

  // ---- Code

  /**
   * Says that a processor is about to translate code from a page, to be read after this. Until the
   * mark is cleared TLBs do not let stores to it pass on the fast path, and every store that is
   * told to this class is told to the listeners.
   *
   * @return the mark; null if there is no memory
   */
  public @Nullable CodeMark markCode(long hpaPage) {
    Bank bank = bankAt(hpaPage);
    int offset = (int) hpaPage & BANK_MASK;
    if (bank == null || !bank.coversPage(offset)) {
      return null;
    }
    CodeMark mark = bank.markCode(offset);
    // Even where there are others already: whoever made them may not have told yet.
    for (CodeWriteListener listener : listeners) {
      listener.codeMarked(hpaPage);
    }
    return mark;
  }

  /** Whether the page of an address is marked as holding code. */
  public boolean holdsCode(long hpa) {
    Bank bank = bankAt(hpa);
    int offset = (int) hpa & BANK_MASK;
    return bank != null && offset < bank.buffer.capacity() && bank.holdsCode(offset);
  }

  /** Adds a listener; it is told of stores on whatever thread makes them. */
  public void addCodeWriteListener(CodeWriteListener listener) {
    listeners.add(listener);
  }

  /** Removes a listener. */
  public void removeCodeWriteListener(CodeWriteListener listener) {
    listeners.remove(listener);
  }

  /** How many listeners there are. */
  public int codeWriteListenerCount() {
    return listeners.size();
  }

  /**
   * Tells the listeners of a store that was made, for each of its pages that holds code. The CPU's
   * slow store path calls this; the {@code deviceWrite} methods do it by themselves.
   */
  public void notifyCodeWrite(long hpa, int length) {
    long at = hpa;
    int left = length;
    while (left > 0) {
      int part = (int) Math.min(left, PAGE_SIZE - (at & PAGE_SIZE - 1));
      if (holdsCode(at)) {
        for (CodeWriteListener listener : listeners) {
          listener.codeWritten(at, part);
        }
      }
      at += part;
      left -= part;
    }
  }

  /** Writes a byte and tells the listeners if it is in a page that holds code. */
  public void deviceWriteByte(long hpa, byte value) {
    writeByte(hpa, value);
    notifyCodeWrite(hpa, 1);
  }

  /** Writes 2 bytes and tells the listeners if they are in pages that hold code. */
  public void deviceWriteShort(long hpa, short value) {
    writeShort(hpa, value);
    notifyCodeWrite(hpa, 2);
  }

  /** Writes 4 bytes and tells the listeners if they are in pages that hold code. */
  public void deviceWriteInt(long hpa, int value) {
    writeInt(hpa, value);
    notifyCodeWrite(hpa, 4);
  }

  /** Writes 8 bytes and tells the listeners if they are in pages that hold code. */
  public void deviceWriteLong(long hpa, long value) {
    writeLong(hpa, value);
    notifyCodeWrite(hpa, 8);
  }

  /** Copies bytes into memory and tells the listeners of the pages among them that hold code. */
  public void deviceWrite(long hpa, byte[] source, int sourceOffset, int length) {
    write(hpa, source, sourceOffset, length);
    notifyCodeWrite(hpa, length);
  }

  /** Sets bytes to a value and tells the listeners of the pages among them that hold code. */
  public void deviceFill(long hpa, long length, byte value) {
    fill(hpa, length, value);
    for (long done = 0; done < length; done += BANK_SIZE) {
      notifyCodeWrite(hpa + done, (int) Math.min(BANK_SIZE, length - done));
    }
  }
}
