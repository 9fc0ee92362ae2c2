package org.kvm4j.cpu.core;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.ept.memory.HostMemory;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.ept.tlb.TagTable;
import org.kvm4j.ept.tlb.Tlb;
import org.kvm4j.ept.tlb.TlbEntry;
import org.kvm4j.ept.tlb.TlbSpace;
import org.kvm4j.ept.walk.KnownViolation;
import org.kvm4j.ept.walk.TwoDimensionalWalk;

/**
 * Linear memory as the current privilege sees it: TLB lookup on the fast path, a two-dimensional
 * walk behind it. Segmentation and canonicality come before ({@link Cpu#linear}); here addresses
 * are linear.
 *
 * <p>Stores to pages that hold decoded code take the slow path (their TLB entry has no write tag)
 * and tell the {@link CodeWrites} listener after the store, so self-modifying code is exact.
 */
public final class Mmu {
  private static final long PAGE = ~0xfffL;
  private static final int INDEX = TlbSpace.SIZE - 1;

  private static final VarHandle INT =
      MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle LONG =
      MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  /** Told of stores to pages that hold decoded code. */
  public interface CodeWrites {
    /** The processor has just written {@code length} bytes at {@code hpa} (within one page). */
    void codeWritten(long hpa, int length);
  }

  private final Cpu cpu;
  public final PhysicalMemory memory;
  public final Tlb tlb;
  public final PagingContext context = new PagingContext();
  private final TwoDimensionalWalk walk;
  private final Translation translation = new Translation();
  private final NestedFault nestedFault = new NestedFault(translation);

  /** The space of the current VPID, EPTP and PCID. */
  public TlbSpace space;

  /** VPID of the current operation; 0 in root operation. */
  public int vpid;

  /**
   * Explicit data accesses of the current privilege; {@link TlbSpace#EMPTY} while alignment is
   * checked, so that each access comes to the slow path.
   */
  private TlbEntry[] data;

  /** The tags of {@link #data}, as {@link TagTable} has them. */
  private long table;

  /**
   * Whether {@link #data} has tags in a table from when it becomes current, not from its first use
   * on.
   */
  private boolean alwaysTables;

  /** Access bits of explicit data accesses: USER and AC as they stand. */
  private int dataAccess;

  /** Instruction fetches of the current privilege. */
  private TlbEntry[] fetch;

  private int fetchAccess;

  public CodeWrites codeWrites = (hpa, length) -> {};

  /** Told of data accesses to the pages that it names. */
  public interface Watch {
    /**
     * Data was accessed, or is about to be.
     *
     * @return whether the page of this address is watched: accesses to it stay off the fast path
     */
    boolean accessed(long linear, int size, boolean write);
  }

  private @Nullable Watch watch;

  /**
   * Guest-physical memory that stands for devices, where a hypervisor emulates an instruction:
   * asked for what the nested page tables do not map.
   */
  public interface DeviceMemory {
    /** Whether an access to this guest-physical address is the devices'. */
    boolean claims(long gpa, boolean write);

    /** Reads 1 to 8 bytes within a page, zero-extended. */
    long read(long gpa, int size);

    /** Writes 1 to 8 bytes within a page. */
    void write(long gpa, int size, long value);
  }

  /** Devices behind unmapped guest-physical memory; null on a processor that runs a guest. */
  public @Nullable DeviceMemory devices;

  Mmu(Cpu cpu, PhysicalMemory memory) {
    this.cpu = cpu;
    this.memory = memory;
    this.tlb = new Tlb();
    this.walk = new TwoDimensionalWalk(memory, tlb.guestPhysical());
    this.context.physicalBits = cpu.model.physicalAddressBits();
    this.context.pse36 = cpu.model.has(Feature.PSE36);
    this.context.pages1g = cpu.model.has(Feature.PAGE1GB);
    this.space = tlb.select(0, 0, 0);
    this.data = space.supervisor;
    this.fetch = space.supervisor;
    this.table = space.tableIfAny(data);
  }

  // ---- context ----

  /** Follows CR0, CR3, CR4, EFER, CPL, AC, VPID and EPTP. Called by {@link Cpu#updateMode}. */
  void updateContext() {
    PagingContext c = context;
    PagingMode mode = cpu.pagingMode();
    c.mode = mode;
    c.cr3 = cpu.cr3;
    c.wp = (cpu.cr0 & ControlBits.CR0_WP) != 0;
    c.smep = (cpu.cr4 & ControlBits.CR4_SMEP) != 0;
    c.smap = (cpu.cr4 & ControlBits.CR4_SMAP) != 0;
    c.nxe = (cpu.efer & ControlBits.EFER_NXE) != 0;
    c.pse = (cpu.cr4 & ControlBits.CR4_PSE) != 0;
    c.pge = (cpu.cr4 & ControlBits.CR4_PGE) != 0;
    c.pke = (cpu.cr4 & ControlBits.CR4_PKE) != 0;
    c.pks = (cpu.cr4 & ControlBits.CR4_PKS) != 0;
    c.pkru = cpu.pkru;
    c.pkrs = cpu.pkrs;
    c.pat = cpu.msr.pat;
    int pcid = (cpu.cr4 & ControlBits.CR4_PCIDE) != 0 ? (int) cpu.cr3 & 0xfff : 0;
    TlbSpace s = tlb.select(vpid, pcid, c);
    boolean user = cpu.cpl == 3;
    TlbEntry[] d;
    if (user) {
      boolean aligned = (cpu.flagsRest & Flags.AC) != 0 && (cpu.cr0 & ControlBits.CR0_AM) != 0;
      d = aligned ? TlbSpace.EMPTY : s.user();
      dataAccess = Access.USER;
      fetchAccess = Access.FETCH | Access.USER;
    } else if (c.smap && (cpu.flagsRest & Flags.AC) != 0) {
      d = s.supervisorAc();
      dataAccess = Access.AC;
      fetchAccess = Access.FETCH;
    } else {
      d = s.supervisor;
      dataAccess = 0;
      fetchAccess = Access.FETCH;
    }
    TlbEntry[] f = user ? s.user() : s.supervisor;
    space = s;
    if (d != data) {
      data = d;
      table = alwaysTables ? s.table(d) : s.tableIfAny(d);
    }
    fetch = f;
  }

  /** Drops every translation of this processor. */
  public void flushAll() {
    tlb.flushAll();
  }

  /**
   * Arms data breakpoints: from now on accesses to watched pages take the slow path.
   *
   * @param watch null to disarm
   */
  public void watch(@Nullable Watch watch) {
    this.watch = watch;
    flushAll();
  }

  /** What data breakpoints are armed with; null if none are. */
  public @Nullable Watch watch() {
    return watch;
  }

  /** Tells the watch of an access that has just filled a TLB entry. */
  private void watched(long linear, int size, boolean write, TlbEntry[] which, int access) {
    if (watch != null && (access & Access.IMPLICIT) == 0 && watch.accessed(linear, size, write)) {
      TlbEntry e = which[(int) (linear >>> 12) & INDEX];
      if (e.readTag == (linear & PAGE) || e.writeTag == (linear & PAGE)) {
        e.hide();
      }
    }
  }

  // ---- what translations of fetches stand for ----

  /** Which translations fetches use: those of a space and a privilege. */
  public Object fetchContext() {
    return fetch;
  }

  /** Whether fetches are user-mode accesses. */
  public boolean fetchesAsUser() {
    return (fetchAccess & Access.USER) != 0;
  }

  // ---- loads ----
  //
  // read8 to read64 and write8 to write64 are for the many who do this here and there: kvm4j's
  // launcher
  // tells the JVM to compile each of them once, not into each of its callers. load8 to load64 and
  // store8 to store64 are the same for code that is hot, to be compiled into it; they are given
  // data().

  /**
   * Where the tags of data accesses' translations are, for those who make many: they stay there
   * until the processor does anything else than loads and stores, or an access faults.
   */
  public long data() {
    return table;
  }

  /** As {@link #data}, of the translations of fetches: a table of its own from now on. */
  public long fetches() {
    return fetch == data ? table : space.table(fetch);
  }

  /**
   * From now on what {@link #data} gives is where tags will be, as long as that stays, though there
   * are none so far: for those who do not ask again after an access that was slow.
   */
  public void keepTables() {
    if (!alwaysTables) {
      alwaysTables = true;
      table = space.table(data);
    }
  }

  /**
   * To be called before an access is looked for in an array: the next ones are to find its tags.
   */
  private void showTags(TlbEntry[] which) {
    if (HostMemory.IN_USE && TagTable.isNone(table) && which == data) {
      table = space.table(which);
    }
  }

  /** One byte, zero-extended. */
  public int read8(long linear) {
    return load8(linear, table);
  }

  /** Two bytes, zero-extended. */
  public int read16(long linear) {
    return load16(linear, table);
  }

  /** Four bytes. */
  public int read32(long linear) {
    return load32(linear, table);
  }

  /** Eight bytes. */
  public long read64(long linear) {
    return load64(linear, table);
  }

  /** As {@link #read8}. */
  public int load8(long linear, long table) {
    if (HostMemory.IN_USE) {
      long slot = TagTable.slot(table, linear);
      if ((linear & PAGE) == HostMemory.getLong(slot)) {
        return Ordered.load8(linear + HostMemory.getLong(slot + TagTable.TO_HOST));
      }
    } else {
      TlbEntry e = data[(int) (linear >>> 12) & INDEX];
      if ((linear & PAGE) == e.readTag) {
        return Ordered.load8(e.bank, e.offset + ((int) linear & 0xfff));
      }
    }
    return (int) readSlow(linear, 1, data, dataAccess) & 0xff;
  }

  /** As {@link #read16}. */
  public int load16(long linear, long table) {
    if (HostMemory.IN_USE) {
      long slot = TagTable.slot(table, linear);
      if ((linear + 1 & PAGE) == HostMemory.getLong(slot)) {
        return Ordered.load16(linear + HostMemory.getLong(slot + TagTable.TO_HOST));
      }
    } else {
      TlbEntry e = data[(int) (linear >>> 12) & INDEX];
      if ((linear + 1 & PAGE) == e.readTag) {
        return Ordered.load16(e.bank, e.offset + ((int) linear & 0xfff));
      }
    }
    return (int) readSlow(linear, 2, data, dataAccess) & 0xffff;
  }

  /** As {@link #read32}. */
  public int load32(long linear, long table) {
    if (HostMemory.IN_USE) {
      long slot = TagTable.slot(table, linear);
      if ((linear + 3 & PAGE) == HostMemory.getLong(slot)) {
        return Ordered.load32(linear + HostMemory.getLong(slot + TagTable.TO_HOST));
      }
    } else {
      TlbEntry e = data[(int) (linear >>> 12) & INDEX];
      if ((linear + 3 & PAGE) == e.readTag) {
        return Ordered.load32(e.bank, e.offset + ((int) linear & 0xfff));
      }
    }
    return (int) readSlow(linear, 4, data, dataAccess);
  }

  /** As {@link #read64}. */
  public long load64(long linear, long table) {
    if (HostMemory.IN_USE) {
      long slot = TagTable.slot(table, linear);
      if ((linear + 7 & PAGE) == HostMemory.getLong(slot)) {
        return Ordered.load64(linear + HostMemory.getLong(slot + TagTable.TO_HOST));
      }
    } else {
      TlbEntry e = data[(int) (linear >>> 12) & INDEX];
      if ((linear + 7 & PAGE) == e.readTag) {
        return Ordered.load64(e.bank, e.offset + ((int) linear & 0xfff));
      }
    }
    return readSlow(linear, 8, data, dataAccess);
  }

  /** 1, 2, 4 or 8 bytes, zero-extended. */
  public long read(long linear, int size) {
    return switch (size) {
      case 1 -> read8(linear);
      case 2 -> read16(linear);
      case 4 -> read32(linear) & 0xffffffffL;
      default -> read64(linear);
    };
  }

  // ---- stores ----

  public void write8(long linear, int value) {
    store8(linear, value, table);
  }

  /** As {@link #write8}; says whether the slow path was taken, which may have dropped code. */
  public boolean store8(long linear, int value, long table) {
    if (HostMemory.IN_USE) {
      long slot = TagTable.slot(table, linear);
      if ((linear & PAGE) == HostMemory.getLong(slot + TagTable.WRITE_TAG)) {
        Ordered.store8(linear + HostMemory.getLong(slot + TagTable.TO_HOST), value);
        return false;
      }
    } else {
      TlbEntry e = data[(int) (linear >>> 12) & INDEX];
      if ((linear & PAGE) == e.writeTag) {
        Ordered.store8(e.bank, e.offset + ((int) linear & 0xfff), value);
        return false;
      }
    }
    writeSlow(linear, 1, value, data, dataAccess);
    return true;
  }

  public void write16(long linear, int value) {
    store16(linear, value, table);
  }

  /** As {@link #write16}; says whether the slow path was taken, which may have dropped code. */
  public boolean store16(long linear, int value, long table) {
    if (HostMemory.IN_USE) {
      long slot = TagTable.slot(table, linear);
      if ((linear + 1 & PAGE) == HostMemory.getLong(slot + TagTable.WRITE_TAG)) {
        Ordered.store16(linear + HostMemory.getLong(slot + TagTable.TO_HOST), value);
        return false;
      }
    } else {
      TlbEntry e = data[(int) (linear >>> 12) & INDEX];
      if ((linear + 1 & PAGE) == e.writeTag) {
        Ordered.store16(e.bank, e.offset + ((int) linear & 0xfff), value);
        return false;
      }
    }
    writeSlow(linear, 2, value, data, dataAccess);
    return true;
  }

  public void write32(long linear, int value) {
    store32(linear, value, table);
  }

  /** As {@link #write32}; says whether the slow path was taken, which may have dropped code. */
  public boolean store32(long linear, int value, long table) {
    if (HostMemory.IN_USE) {
      long slot = TagTable.slot(table, linear);
      if ((linear + 3 & PAGE) == HostMemory.getLong(slot + TagTable.WRITE_TAG)) {
        Ordered.store32(linear + HostMemory.getLong(slot + TagTable.TO_HOST), value);
        return false;
      }
    } else {
      TlbEntry e = data[(int) (linear >>> 12) & INDEX];
      if ((linear + 3 & PAGE) == e.writeTag) {
        Ordered.store32(e.bank, e.offset + ((int) linear & 0xfff), value);
        return false;
      }
    }
    writeSlow(linear, 4, value, data, dataAccess);
    return true;
  }

  public void write64(long linear, long value) {
    store64(linear, value, table);
  }

  /** As {@link #write64}; says whether the slow path was taken, which may have dropped code. */
  public boolean store64(long linear, long value, long table) {
    if (HostMemory.IN_USE) {
      long slot = TagTable.slot(table, linear);
      if ((linear + 7 & PAGE) == HostMemory.getLong(slot + TagTable.WRITE_TAG)) {
        Ordered.store64(linear + HostMemory.getLong(slot + TagTable.TO_HOST), value);
        return false;
      }
    } else {
      TlbEntry e = data[(int) (linear >>> 12) & INDEX];
      if ((linear + 7 & PAGE) == e.writeTag) {
        Ordered.store64(e.bank, e.offset + ((int) linear & 0xfff), value);
        return false;
      }
    }
    writeSlow(linear, 8, value, data, dataAccess);
    return true;
  }

  /** 1, 2, 4 or 8 bytes. */
  public void write(long linear, int size, long value) {
    switch (size) {
      case 1 -> write8(linear, (int) value);
      case 2 -> write16(linear, (int) value);
      case 4 -> write32(linear, (int) value);
      default -> write64(linear, value);
    }
  }

  // ---- vectors ----

  /**
   * 16 or 32 bytes as 64-bit words, lowest first; nothing is read if any of it faults. Where
   * alignment is checked, to 16 bytes (seen on Zen 4 processors; SDM Vol. 3, "Interrupt 17" leaves
   * it to the processor).
   */
  public void readWords(long linear, int size, long[] to) {
    TlbEntry e = data[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) == e.readTag) {
      for (int k = 0; k < size >> 3; k++) {
        to[k] = Ordered.load64(e, linear + 8 * k);
      }
      return;
    }
    TlbEntry[] which = beginWords(linear, size, dataAccess);
    for (int k = 0; k < size >> 3; k++) {
      to[k] = readSlow(linear + 8 * k, 8, which, dataAccess);
    }
  }

  /** 16 or 32 bytes from 64-bit words; nothing is written if any of it faults. */
  public void writeWords(long linear, int size, long[] from) {
    TlbEntry e = data[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) == e.writeTag) {
      for (int k = 0; k < size >> 3; k++) {
        Ordered.store64(e, linear + 8 * k, from[k]);
      }
      return;
    }
    TlbEntry[] which = beginWords(linear, size, dataAccess | Access.WRITE);
    for (int k = 0; k < size >> 3; k++) {
      writeSlow(linear + 8 * k, 8, from[k], which, dataAccess);
    }
  }

  /**
   * Finds 16 bytes for {@link Ordered}'s loads by address, for code that is hot.
   *
   * @param aligned whether an address that is no multiple of 16 will not do
   * @return their address; 0 if the TLB or {@link HostMemory} does not serve: {@link #readWords}
   */
  public long find128(long linear, boolean aligned, long table) {
    if (HostMemory.IN_USE && !(aligned && (linear & 15) != 0)) {
      long slot = TagTable.slot(table, linear);
      if ((linear + 15 & PAGE) == HostMemory.getLong(slot)) {
        return linear + HostMemory.getLong(slot + TagTable.TO_HOST);
      }
    }
    return 0;
  }

  /** As {@link #find128}, for stores. */
  public long findToStore128(long linear, boolean aligned, long table) {
    if (HostMemory.IN_USE && !(aligned && (linear & 15) != 0)) {
      long slot = TagTable.slot(table, linear);
      if ((linear + 15 & PAGE) == HostMemory.getLong(slot + TagTable.WRITE_TAG)) {
        return linear + HostMemory.getLong(slot + TagTable.TO_HOST);
      }
    }
    return 0;
  }

  private TlbEntry[] beginWords(long linear, int size, int access) {
    TlbEntry[] which = data;
    if (which == TlbSpace.EMPTY) {
      checkAlignment(linear, 16);
      which = space.user();
    }
    probe(linear, size, access);
    return which;
  }

  /** An element of a masked move or a gather: 1 to 8 bytes, of which no alignment is checked. */
  public long readElement(long linear, int size) {
    return data == TlbSpace.EMPTY
        ? readSlow(linear, size, space.user(), dataAccess)
        : read(linear, size);
  }

  /** An element of a masked move: 1 to 8 bytes, of which no alignment is checked. */
  public void writeElement(long linear, int size, long value) {
    if (data == TlbSpace.EMPTY) {
      writeSlow(linear, size, value, space.user(), dataAccess);
    } else {
      write(linear, size, value);
    }
  }

  /** Makes sure that {@link #writeElement} cannot fault. */
  public void probeElement(long linear, int size) {
    probe(linear, size, dataAccess | Access.WRITE);
  }

  // ---- read-modify-write ----

  /**
   * Makes sure that a store to these bytes cannot fault: the first step of every instruction that
   * reads and then writes memory, so that its fault is the write's and comes before any effect.
   */
  public void probeWrite(long linear, int size) {
    TlbEntry e = data[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) != e.writeTag) {
      if (data == TlbSpace.EMPTY) {
        checkAlignment(linear, size);
      }
      probe(linear, size, dataAccess | Access.WRITE);
    }
  }

  /** Makes sure that a load of these bytes cannot fault. */
  public void probeRead(long linear, int size) {
    TlbEntry e = data[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) != e.readTag) {
      if (data == TlbSpace.EMPTY) {
        checkAlignment(linear, size);
      }
      probe(linear, size, dataAccess);
    }
  }

  /**
   * Whether RAM is behind all of these bytes, so that a locked update can be made of a read and
   * {@link #compareAndExchange}. With a device behind them it is one read and one write. To be
   * asked at the beginning of every locked access.
   *
   * @param linear already probed for writing
   */
  public boolean isRam(long linear, int size) {
    if (busLocks) {
      locked(linear, size);
    }
    return isOrdinary(linear, size);
  }

  private boolean isOrdinary(long linear, int size) {
    TlbEntry e = data[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) == e.writeTag) {
      return true;
    }
    linear = cpu.masked(linear);
    int first = Math.min(size, 0x1000 - ((int) linear & 0xfff));
    if (!translate(wrap(linear), Access.of(dataAccess | Access.WRITE, first))
        || (translation.hpa & PAGE) == context.apicPage
        || !memory.isBacked(translation.hpa, first)) {
      return false;
    }
    if (first == size) {
      return true;
    }
    return translate(wrap(linear + first), Access.of(dataAccess | Access.WRITE, size - first))
        && memory.isBacked(translation.hpa, size - first);
  }

  /**
   * Atomic compare-and-exchange, for LOCK. Naturally aligned operands of 4 and 8 bytes are one
   * atomic access of the host; smaller ones go through the containing 4 bytes; what crosses its
   * natural alignment is atomic against other such accesses only (a split lock).
   *
   * @param linear already probed for writing
   * @param size 1, 2, 4 or 8
   * @return the value found, zero-extended; it equals {@code expected} if the exchange happened
   */
  public long compareAndExchange(long linear, int size, long expected, long value) {
    TlbEntry e = data[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) != e.writeTag) {
      return compareAndExchangeSlow(linear, size, expected, value);
    }
    return compareAndExchange(e.bank, e.offset + ((int) linear & 0xfff), size, expected, value);
  }

  private long compareAndExchange(ByteBuffer bank, int at, int size, long expected, long value) {
    if (size == 8 && (at & 7) == 0) {
      return (long) LONG.compareAndExchange(bank, at, expected, value);
    }
    if (size == 4 && (at & 3) == 0) {
      return (int) INT.compareAndExchange(bank, at, (int) expected, (int) value) & 0xffffffffL;
    }
    if (size < 4 && (at & 3) + size <= 4) {
      return compareAndExchangeWithin(bank, at, size, expected, value);
    }
    return compareAndExchangeSplit(bank, at, size, expected, value);
  }

  /** Of 1 or 2 bytes within 4 aligned ones. */
  private static long compareAndExchangeWithin(
      ByteBuffer bank, int at, int size, long expected, long value) {
    long mask = (1L << size * 8) - 1;
    int word = at & ~3;
    int shift = (at & 3) * 8;
    while (true) {
      int old = (int) INT.getVolatile(bank, word);
      long found = old >>> shift & mask;
      if (found != (expected & mask)) {
        return found;
      }
      int next = old & ~((int) mask << shift) | ((int) (value & mask) << shift);
      if ((int) INT.compareAndExchange(bank, word, old, next) == old) {
        return found;
      }
    }
  }

  /** Across the natural alignment. */
  private long compareAndExchangeSplit(
      ByteBuffer bank, int at, int size, long expected, long value) {
    synchronized (memory) {
      long mask = size == 8 ? -1L : (1L << size * 8) - 1;
      long found = Ordered.load(bank, at, size);
      if (found == (expected & mask)) {
        Ordered.store(bank, at, size, value);
      }
      return found;
    }
  }

  private long compareAndExchangeSlow(long pointer, int size, long expected, long value) {
    long linear = cpu.masked(pointer);
    if ((linear & 0xfff) + size <= 0x1000) {
      if (data == TlbSpace.EMPTY) {
        checkAlignment(linear, size);
      }
      boolean ram = translate(wrap(linear), Access.of(dataAccess | Access.WRITE, size));
      long hpa = translation.hpa;
      ByteBuffer bank = ram ? memory.bank(hpa) : null;
      if (bank != null) {
        TlbEntry[] which = data == TlbSpace.EMPTY ? space.user() : data;
        tlb.fill(space, which, wrap(linear), translation, memory);
        if (watch != null) {
          watched(wrap(linear), size, true, which, dataAccess);
        }
        long found =
            compareAndExchange(bank, (int) hpa & PhysicalMemory.BANK_MASK, size, expected, value);
        if (memory.holdsCode(hpa)) {
          codeWrites.codeWritten(hpa, size);
        }
        return found;
      }
    }
    probe(linear, size, dataAccess | Access.WRITE);
    synchronized (memory) {
      long mask = size == 8 ? -1L : (1L << size * 8) - 1;
      long found = readSlow(linear, size, data, dataAccess) & mask;
      if (found == (expected & mask)) {
        writeSlow(linear, size, value, data, dataAccess);
      }
      return found;
    }
  }

  /** What {@link #compareAndExchange16} found. */
  public long foundLow;

  /** What {@link #compareAndExchange16} found. */
  public long foundHigh;

  /**
   * Compare-and-exchange of 16 bytes; what was there is in {@link #foundLow} and {@link
   * #foundHigh}. It is atomic against other such accesses and loses no other locked update of
   * either half, but others may see one half exchanged before the other.
   *
   * @param linear a multiple of 16, already probed for writing
   * @param lock whether it is a locked access
   * @return whether the exchange happened
   */
  public boolean compareAndExchange16(
      long linear, boolean lock, long expectedLow, long expectedHigh, long low, long high) {
    if (lock ? !isRam(linear, 16) : !isOrdinary(linear, 16)) {
      foundLow = read64(linear);
      foundHigh = read64(linear + 8);
      boolean equal = foundLow == expectedLow && foundHigh == expectedHigh;
      write64(linear, equal ? low : foundLow);
      write64(linear + 8, equal ? high : foundHigh);
      return equal;
    }
    synchronized (memory) {
      foundLow = read64(linear);
      foundHigh = read64(linear + 8);
      while (foundLow == expectedLow && foundHigh == expectedHigh) {
        foundLow = compareAndExchange(linear, 8, expectedLow, low);
        if (foundLow != expectedLow) {
          return false;
        }
        foundHigh = compareAndExchange(linear + 8, 8, expectedHigh, high);
        if (foundHigh == expectedHigh) {
          return true;
        }
        // The upper half was changed in between: take the lower one back, unless that was too.
        compareAndExchange(linear, 8, low, expectedLow);
      }
      return false;
    }
  }

  // ---- bus locks ----

  /** Bytes of a cache line. */
  private static final int LINE = 64;

  /** Whether {@link GuestMode#busLock} is to be told of bus locks. */
  public boolean busLocks;

  /** A locked access that is about to be made, and does not fault. */
  private void locked(long pointer, int size) {
    long linear = cpu.masked(pointer);
    if (((int) linear & LINE - 1) + size <= LINE) {
      translate(wrap(linear), Access.of(dataAccess | Access.WRITE, size));
      if (!isUncached()) {
        return;
      }
    }
    busLock();
  }

  /** Whether a locked access to what was translated last locks the bus. */
  private boolean isUncached() {
    return (translation.hpa & PAGE) != context.apicPage
        && (!translation.isWriteBack() || (cpu.cr0 & ControlBits.CR0_CD) != 0);
  }

  private void busLock() {
    GuestMode g = cpu.guest;
    if (g != null) {
      requireAlone();
      cpu.attention = 1;
      g.busLock();
    }
  }

  // ---- runs of bytes ----
  //
  // Ordered against what comes before and after, not within: SDM Vol. 3, "Fast-String Operation
  // and Out-of-Order Stores".

  /**
   * Copies as a loop of element moves with ascending addresses does, if both ranges are ordinary
   * memory that the TLB knows. Each range is within one page.
   *
   * @param size of an element: whole elements are copied
   * @return bytes copied, from the lowest address up: less than {@code length} if the destination
   *     overlaps what is to be read, 0 if nothing can be done at once
   */
  public int moveUp(long to, long from, int length, int size) {
    TlbEntry s = Tlb.peek(data, from);
    TlbEntry d = Tlb.peek(data, to);
    if ((from & PAGE) != s.readTag || (to & PAGE) != d.writeTag) {
      return 0;
    }
    int source = s.offset + ((int) from & 0xfff);
    int target = d.offset + ((int) to & 0xfff);
    int distance = target - source;
    if (s.bank == d.bank && distance > 0 && distance < length) {
      // Elements that are written here are read later on: copy no further than to the first.
      length = distance & -size;
    }
    VarHandle.releaseFence();
    copy(d.bank, target, s.bank, source, length);
    VarHandle.acquireFence();
    return length;
  }

  /**
   * Copies as a loop of element moves with descending addresses does, if both ranges are ordinary
   * memory that the TLB knows and do not overlap so that what was written would be read. Each range
   * is within one page.
   *
   * @return whether it was done
   */
  public boolean moveDown(long to, long from, int length) {
    TlbEntry s = Tlb.peek(data, from);
    TlbEntry d = Tlb.peek(data, to);
    if ((from & PAGE) != s.readTag || (to & PAGE) != d.writeTag) {
      return false;
    }
    int source = s.offset + ((int) from & 0xfff);
    int target = d.offset + ((int) to & 0xfff);
    int distance = source - target;
    if (s.bank == d.bank && distance > 0 && distance < length) {
      return false;
    }
    VarHandle.releaseFence();
    d.bank.put(target, s.bank, source, length);
    VarHandle.acquireFence();
    return true;
  }

  /** Below this a loop beats the set-up of a bulk copy. */
  private static final int SHORT_COPY = 64;

  /** Copies ranges of which the target is not within the rest of the source. */
  private static void copy(ByteBuffer to, int target, ByteBuffer from, int source, int length) {
    if (length >= SHORT_COPY) {
      to.put(target, from, source, length);
      return;
    }
    int k = 0;
    for (; k <= length - 8; k += 8) {
      to.putLong(target + k, from.getLong(source + k));
    }
    for (; k < length; k++) {
      to.put(target + k, from.get(source + k));
    }
  }

  /**
   * Fills a range of one page, if it is ordinary memory that the TLB knows.
   *
   * @param pattern eight bytes, repeated from the range's start on
   * @return whether it was done
   */
  public boolean fill(long to, int length, long pattern) {
    TlbEntry d = data[(int) (to >>> 12) & INDEX];
    if ((to & PAGE) != d.writeTag) {
      return false;
    }
    VarHandle.releaseFence();
    if (HostMemory.IN_USE) {
      HostMemory.fill(to + d.toHost, length, pattern);
      return true;
    }
    ByteBuffer bank = d.bank;
    int start = d.offset + ((int) to & 0xfff);
    int k = 0;
    for (; k <= length - 8 && k < 256; k += 8) {
      bank.putLong(start + k, pattern);
    }
    while (k < length && k >= 256) {
      int more = Math.min(k, length - k);
      bank.put(start + k, bank, start, more);
      k += more;
    }
    for (; k < length; k++) {
      bank.put(start + k, (byte) (pattern >>> (k & 7) * 8));
    }
    return true;
  }

  private static final long LOWEST_BITS = 0x0101010101010101L;

  /**
   * Looks for a byte in a range of one page, from the lowest address up.
   *
   * @param value 0 to 255
   * @return the distance of the first such byte, or {@code length} if there is none; -1 if it is
   *     not ordinary memory that the TLB knows
   */
  public int find(long from, int length, int value) {
    TlbEntry e = data[(int) (from >>> 12) & INDEX];
    if ((from & PAGE) != e.readTag) {
      return -1;
    }
    long pattern = value * LOWEST_BITS;
    int k = 0;
    for (; k <= length - 8; k += 8) {
      long x = Ordered.load64(e, from + k) ^ pattern;
      long zeroes = x - LOWEST_BITS & ~x & LOWEST_BITS << 7;
      if (zeroes != 0) {
        return k + (Long.numberOfTrailingZeros(zeroes) >> 3);
      }
    }
    while (k < length && Ordered.load8(e, from + k) != value) {
      k++;
    }
    return k;
  }

  /**
   * Compares a range of one page with a pattern, from the lowest address up.
   *
   * @param pattern eight bytes, repeated from the range's start on
   * @return how many bytes are the same before the first that is not; -1 if it is not ordinary
   *     memory that the TLB knows
   */
  public int same(long from, int length, long pattern) {
    TlbEntry e = data[(int) (from >>> 12) & INDEX];
    if ((from & PAGE) != e.readTag) {
      return -1;
    }
    int k = 0;
    for (; k <= length - 8; k += 8) {
      long x = Ordered.load64(e, from + k) ^ pattern;
      if (x != 0) {
        return k + (Long.numberOfTrailingZeros(x) >> 3);
      }
    }
    while (k < length && Ordered.load8(e, from + k) == (pattern >>> (k & 7) * 8 & 0xff)) {
      k++;
    }
    return k;
  }

  /**
   * Compares two ranges, each of one page, from the lowest address up.
   *
   * @return as {@link #same(long, int, long)}
   */
  public int same(long one, long other, int length) {
    TlbEntry a = data[(int) (one >>> 12) & INDEX];
    TlbEntry b = data[(int) (other >>> 12) & INDEX];
    if ((one & PAGE) != a.readTag || (other & PAGE) != b.readTag) {
      return -1;
    }
    int k = 0;
    for (; k <= length - 8; k += 8) {
      long x = Ordered.load64(a, one + k) ^ Ordered.load64(b, other + k);
      if (x != 0) {
        return k + (Long.numberOfTrailingZeros(x) >> 3);
      }
    }
    while (k < length && Ordered.load8(a, one + k) == Ordered.load8(b, other + k)) {
      k++;
    }
    return k;
  }

  // ---- implicit supervisor accesses ----

  /** A read of a descriptor table, TSS and the like: supervisor whatever CPL is. */
  public long readSystem(long linear, int size) {
    TlbEntry e = space.supervisor[(int) (linear >>> 12) & INDEX];
    long value;
    if ((linear + size - 1 & PAGE) == e.readTag) {
      value = Ordered.load(e.bank, e.offset + ((int) linear & 0xfff), size);
    } else {
      value = readSlow(linear, size, space.supervisor, Access.IMPLICIT);
    }
    return size == 8 ? value : value & (1L << size * 8) - 1;
  }

  /** A write of a descriptor table, TSS and the like: supervisor whatever CPL is. */
  public void writeSystem(long linear, int size, long value) {
    TlbEntry e = space.supervisor[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) == e.writeTag) {
      Ordered.store(e.bank, e.offset + ((int) linear & 0xfff), size, value);
    } else {
      writeSlow(linear, size, value, space.supervisor, Access.IMPLICIT);
    }
  }

  /**
   * Sets and clears bits of one byte of a system structure in one locked access: accessed and busy
   * bits of descriptors.
   */
  public void updateSystem(long linear, int set, int clear) {
    translate(wrap(linear), Access.IMPLICIT | Access.WRITE);
    if (busLocks && isUncached()) {
      busLock();
    }
    long hpa = translation.hpa;
    ByteBuffer bank = memory.bank(hpa);
    if (bank == null) {
      cpu.platform.deviceWrite(hpa, 1, cpu.platform.deviceRead(hpa, 1) & ~clear | set);
      return;
    }
    int at = (int) hpa & PhysicalMemory.BANK_MASK;
    long old = bank.get(at) & 0xff;
    while (true) {
      long found = compareAndExchange(bank, at, 1, old, old & ~clear | set);
      if (found == old) {
        break;
      }
      old = found;
    }
    if (memory.holdsCode(hpa)) {
      codeWrites.codeWritten(hpa, 1);
    }
  }

  /** Makes sure that a system write cannot fault. */
  public void probeSystemWrite(long linear, int size) {
    TlbEntry e = space.supervisor[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) != e.writeTag) {
      probe(linear, size, Access.IMPLICIT | Access.WRITE);
    }
  }

  /** Makes sure that a system read cannot fault. */
  public void probeSystemRead(long linear, int size) {
    TlbEntry e = space.supervisor[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) != e.readTag) {
      probe(linear, size, Access.IMPLICIT);
    }
  }

  /** A read with the rights of a given CPL, as a stack switch needs; size 1, 2, 4 or 8. */
  public long readAs(int cpl, long linear, int size) {
    return cpl == 3 ? readSlow(linear, size, space.user(), Access.USER) : readSystem(linear, size);
  }

  /** A write with the rights of a given CPL. */
  public void writeAs(int cpl, long linear, int size, long value) {
    if (cpl == 3) {
      writeSlow(linear, size, value, space.user(), Access.USER);
    } else {
      writeSystem(linear, size, value);
    }
  }

  /** Makes sure that a write with the rights of a given CPL cannot fault. */
  public void probeWriteAs(int cpl, long linear, int size) {
    if (cpl != 3) {
      probeSystemWrite(linear, size);
    } else {
      probe(linear, size, Access.USER | Access.WRITE);
    }
  }

  // ---- shadow stacks ----

  private static int shadowStackAccess(boolean user) {
    return user ? Access.SHADOW_STACK | Access.USER : Access.SHADOW_STACK;
  }

  /**
   * A load from a shadow stack: the user's, whatever CPL is, or a supervisor's.
   *
   * @param size 4 or 8
   * @return zero-extended
   */
  public long readShadowStack(boolean user, long linear, int size) {
    TlbEntry[] which = space.shadowStack(user);
    TlbEntry e = which[(int) (linear >>> 12) & INDEX];
    long value;
    if ((linear + size - 1 & PAGE) == e.readTag) {
      value = Ordered.load(e.bank, e.offset + ((int) linear & 0xfff), size);
    } else {
      value = readSlow(linear, size, which, shadowStackAccess(user));
    }
    return size == 8 ? value : value & 0xffffffffL;
  }

  /** A store to a shadow stack; as {@link #readShadowStack}. */
  public void writeShadowStack(boolean user, long linear, int size, long value) {
    TlbEntry[] which = space.shadowStack(user);
    TlbEntry e = which[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) == e.writeTag) {
      Ordered.store(e.bank, e.offset + ((int) linear & 0xfff), size, value);
    } else {
      writeSlow(linear, size, value, which, shadowStackAccess(user));
    }
  }

  /** Makes sure that a store to a shadow stack cannot fault. */
  public void probeShadowStack(boolean user, long linear, int size) {
    TlbEntry e = space.shadowStack(user)[(int) (linear >>> 12) & INDEX];
    if ((linear + size - 1 & PAGE) != e.writeTag) {
      probe(linear, size, shadowStackAccess(user) | Access.WRITE);
    }
  }

  /**
   * Atomic compare-and-exchange of 8 bytes of a shadow stack.
   *
   * @param linear a multiple of 8
   * @return the value found; it equals {@code expected} if the exchange happened
   */
  public long exchangeShadowStack(boolean user, long linear, long expected, long value) {
    int access = Access.of(shadowStackAccess(user) | Access.WRITE, 8);
    if (!translate(wrap(linear), access)) {
      // Devices stand for it.
      long found = devices().read(translation.gpa, 8);
      devices().write(translation.gpa, 8, found == expected ? value : found);
      return found;
    }
    long hpa = translation.hpa;
    ByteBuffer bank = memory.bank(hpa);
    if (bank == null || (hpa & PAGE) == context.apicPage) {
      long found = readShadowStack(user, linear, 8);
      writeShadowStack(user, linear, 8, found == expected ? value : found);
      return found;
    }
    long found = compareAndExchange(bank, (int) hpa & PhysicalMemory.BANK_MASK, 8, expected, value);
    if (memory.holdsCode(hpa)) {
      codeWrites.codeWritten(hpa, 8);
    }
    return found;
  }

  // ---- fetch ----

  /**
   * Translates an instruction fetch.
   *
   * @return the TLB entry of the page; null if no RAM is there, and {@link #lastHpa} says where
   * @throws CpuException #PF
   */
  public @Nullable TlbEntry fetchEntry(long linear) {
    int slot = (int) (linear >>> 12) & INDEX;
    TlbEntry e = fetch[slot];
    if ((linear & PAGE) != e.fetchTag) {
      e = tlb.recall(space, fetch, linear, memory);
      if (e == null || (linear & PAGE) != e.fetchTag) {
        if (!tlb.findLarge(space, fetch, linear, translation) || !translation.mayFetch) {
          translate(linear, fetchAccess);
        }
        if ((translation.hpa & PAGE) == context.apicPage) {
          apic(linear, 1, 2);
        }
        if (!tlb.fill(space, fetch, linear, translation, memory)) {
          return null;
        }
        e = fetch[slot];
      }
    }
    space.fetches(e);
    return e;
  }

  /** The last fault that was thrown of what lies beyond the guest's paging. */
  public NestedFault lastNestedFault() {
    return nestedFault;
  }

  /** The host-physical address that the last walk gave. */
  public long lastHpa() {
    return translation.hpa;
  }

  // ---- slow paths ----

  /**
   * A walk that throws what it finds: #PF, or {@link NestedFault}.
   *
   * @return true if memory was found; false if {@link #devices} claim the guest-physical address
   */
  private boolean translate(long linear, int access) {
    // Tables may lie beyond what CR4.LA57 allows now: LGDT does not ask for it.
    if (cpu.longMode && !cpu.isCanonical(linear)) {
      throw cpu.nonCanonical();
    }
    if (walk.walk(context, linear, access, translation)) {
      return true;
    }
    if (translation.outcome == Translation.PAGE_FAULT) {
      tlb.pageFault(space, linear);
      throw cpu.pf(linear, translation.errorCode);
    }
    DeviceMemory d = devices;
    if (d != null
        && !translation.pagingStructureAccess
        && (access & Access.FETCH) == 0
        && d.claims(translation.gpa, (access & Access.WRITE) != 0)) {
      return false;
    }
    nestedFault.linear = linear;
    nestedFault.access = access;
    throw nested();
  }

  /** What the walk found beyond the guest's paging, or the exception that the guest gets of it. */
  private RuntimeException nested() {
    GuestMode g = cpu.guest;
    return g != null && g.virtualizes(nestedFault) ? cpu.exception(Vector.VE) : nestedFault;
  }

  /**
   * Whether a data access of 1 to 8 bytes would end with an EPT violation, found without throwing
   * it: {@link #lastNestedFault} tells. False also where the access itself has to find out.
   *
   * @param pointer its linear address, as a pointer
   * @param known how an access by the same instruction has ended; null if that is not known
   * @throws CpuException #VE
   */
  public boolean violates(long pointer, int size, boolean write, @Nullable KnownViolation known) {
    TlbEntry[] which = data;
    long linear = wrap(cpu.masked(pointer));
    if (which == TlbSpace.EMPTY
        || ((int) linear & 0xfff) + size > 0x1000
        || cpu.longMode && !cpu.isCanonical(linear)) {
      return false;
    }
    TlbEntry e = tlb.recall(space, which, linear, memory);
    int access = write ? Access.of(dataAccess | Access.WRITE, size) : dataAccess;
    if (e != null && (linear & PAGE) == (write ? e.writeTag : e.readTag)
        || tlb.findLarge(space, which, linear, translation)) {
      return false;
    }
    knownViolation = known != null && known.holds(memory, context, linear, access);
    if (known != null && knownViolation) {
      known.tell(linear, translation);
    } else if (walk.walk(context, linear, access, translation)) {
      return false;
    }
    DeviceMemory d = devices;
    if (translation.outcome != Translation.EPT_VIOLATION
        || d != null && !translation.pagingStructureAccess && d.claims(translation.gpa, write)) {
      return false;
    }
    nestedFault.linear = linear;
    nestedFault.access = access;
    RuntimeException thrown = nested();
    if (thrown != nestedFault) {
      throw thrown;
    }
    return true;
  }

  /** {@link #violates} has made no walk. */
  private boolean knownViolation;

  /** Whether the violation that {@link #violates} has just told of was known to it. */
  public boolean isKnownViolation() {
    return knownViolation;
  }

  private KnownViolation.@Nullable Finder finder;

  /**
   * What the violation depends on that {@link #violates} has just told of.
   *
   * @return null if that is not to be known
   */
  public @Nullable KnownViolation knownViolation() {
    if (finder == null) {
      finder = new KnownViolation.Finder(memory);
    }
    return finder.of(context, nestedFault.linear, nestedFault.access, nestedFault.translation);
  }

  private DeviceMemory devices() {
    DeviceMemory d = devices;
    if (d == null) {
      throw new IllegalStateException("no devices");
    }
    return d;
  }

  /**
   * Alignment of explicit accesses at CPL 3, which is checked before translation. SDM Vol. 3,
   * "Interrupt 17—Alignment Check Exception (#AC)". Areas of other sizes have no alignment here.
   */
  private void checkAlignment(long linear, int size) {
    if ((linear & size - 1) != 0 && size <= 16 && (size & size - 1) == 0) {
      if (cpu.codeSize == 8 && !cpu.isCanonical(cpu.masked(linear))) {
        throw cpu.nonCanonical();
      }
      throw cpu.exception(Vector.AC, 0);
    }
  }

  private long wrap(long linear) {
    return cpu.longMode ? linear : linear & 0xffffffffL;
  }

  /** What a data access, but no implicit one and none to a shadow stack, makes of a pointer. */
  private long masked(long pointer, int access) {
    return (access & (Access.IMPLICIT | Access.SHADOW_STACK)) == 0 ? cpu.masked(pointer) : pointer;
  }

  private void probe(long pointer, int size, int access) {
    long linear = masked(pointer, access);
    int first = 0x1000 - ((int) linear & 0xfff);
    if (size <= first) {
      probeWithin(wrap(linear), Access.of(access, size));
    } else {
      probeWithin(wrap(linear), Access.of(access, first));
      probeWithin(wrap((linear | 0xfff) + 1), Access.of(access, size - first));
    }
  }

  private void probeWithin(long linear, int access) {
    if (!translate(linear, access)) {
      return;
    }
    if ((translation.hpa & PAGE) == context.apicPage) {
      if ((access & Access.WRITE) != 0) {
        requireAlone();
      }
    } else if (memory.bank(translation.hpa) == null) {
      cpu.platform.probeDevice(translation.hpa);
    }
  }

  // ---- the page of a virtual APIC

  /** What follows a write there comes before the next instruction. */
  private void requireAlone() {
    if (!cpu.alone && !cpu.delivering) {
      throw DeviceAccess.AGAIN;
    }
  }

  private GuestMode apic(long linear, int size, int kind) {
    GuestMode g = cpu.guest;
    int offset = (int) translation.hpa & 0xfff;
    if (g == null || kind > 1 || !g.virtualizesApic(offset, size, kind == 1)) {
      translation.outcome = Translation.APIC_ACCESS;
      translation.qualification = offset | kind << 12;
      nestedFault.linear = linear;
      throw nestedFault;
    }
    return g;
  }

  private long readSlow(long pointer, int size, TlbEntry[] which, int access) {
    long linear = masked(pointer, access);
    if (linear != pointer) {
      TlbEntry e = which[(int) (linear >>> 12) & INDEX];
      if ((linear + size - 1 & PAGE) == e.readTag) {
        return Ordered.load(e.bank, e.offset + ((int) linear & 0xfff), size);
      }
    }
    if (which == TlbSpace.EMPTY) {
      checkAlignment(linear, size);
      which = space.user();
    }
    int inPage = (int) linear & 0xfff;
    if (inPage + size > 0x1000) {
      int first = 0x1000 - inPage;
      long nextPage = wrap((linear | 0xfff) + 1);
      // Both halves are translated before either is read, the lower one first.
      translate(wrap(linear), access);
      translate(nextPage, access);
      long low = readWithin(wrap(linear), first, which, access);
      return low | readWithin(nextPage, size - first, which, access) << first * 8;
    }
    return readWithin(wrap(linear), size, which, access);
  }

  /** Reads 1 to 8 bytes within a page, zero-extended. */
  private long readWithin(long linear, int size, TlbEntry[] which, int access) {
    showTags(which);
    TlbEntry e = tlb.recall(space, which, linear, memory);
    if (e != null && (linear & PAGE) == e.readTag) {
      return Ordered.load(e.bank, e.offset + ((int) linear & 0xfff), size);
    }
    if (!reach(linear, which, access)) {
      return devices().read(translation.gpa, size);
    }
    long hpa = translation.hpa;
    if ((hpa & PAGE) == context.apicPage) {
      return apic(linear, size, 0).readApic((int) hpa & 0xfff, size);
    }
    tlb.fill(space, which, linear, translation, memory);
    if (watch != null) {
      watched(linear, size, false, which, access);
    }
    ByteBuffer bank = memory.bank(hpa);
    if (bank == null || !memory.isBacked(hpa, size)) {
      return cpu.platform.deviceRead(hpa, size);
    }
    return Ordered.load(bank, (int) hpa & PhysicalMemory.BANK_MASK, size);
  }

  private void writeSlow(long pointer, int size, long value, TlbEntry[] which, int access) {
    long linear = masked(pointer, access);
    if (linear != pointer) {
      TlbEntry e = which[(int) (linear >>> 12) & INDEX];
      if ((linear + size - 1 & PAGE) == e.writeTag) {
        Ordered.store(e.bank, e.offset + ((int) linear & 0xfff), size, value);
        return;
      }
    }
    if (which == TlbSpace.EMPTY) {
      checkAlignment(linear, size);
      which = space.user();
    }
    int inPage = (int) linear & 0xfff;
    if (inPage + size > 0x1000) {
      int first = 0x1000 - inPage;
      long nextPage = wrap((linear | 0xfff) + 1);
      translate(wrap(linear), Access.of(access | Access.WRITE, first));
      translate(nextPage, Access.of(access | Access.WRITE, size - first));
      writeWithin(wrap(linear), first, value, which, access);
      writeWithin(nextPage, size - first, value >>> first * 8, which, access);
      return;
    }
    writeWithin(wrap(linear), size, value, which, access);
  }

  private void writeApic(long linear, int size, long value, int offset) {
    GuestMode g = apic(linear, size, 1);
    requireAlone();
    // A repeated instruction stops after this iteration.
    cpu.attention = 1;
    g.writeApic(offset, size, value);
  }

  /**
   * As {@link #translate}, for an access that is not in the array: by its large page, or a walk.
   */
  private boolean reach(long linear, TlbEntry[] which, int access) {
    Translation t = translation;
    boolean known =
        tlb.findLarge(space, which, linear, t)
            && ((access & Access.WRITE) != 0 ? t.mayWrite : t.mayRead);
    return known || translate(linear, access);
  }

  /**
   * Writes 1 to 8 bytes within a page. Small enough for the JVM's compiler to have it in its
   * callers, for what it throws is slow otherwise.
   */
  private void writeWithin(long linear, int size, long value, TlbEntry[] which, int access) {
    showTags(which);
    TlbEntry e = tlb.recall(space, which, linear, memory);
    if (e != null && (linear & PAGE) == e.writeTag) {
      Ordered.store(e.bank, e.offset + ((int) linear & 0xfff), size, value);
      return;
    }
    if (!reach(linear, which, Access.of(access | Access.WRITE, size))) {
      devices().write(translation.gpa, size, value);
      return;
    }
    long hpa = translation.hpa;
    if ((hpa & PAGE) == context.apicPage) {
      writeApic(linear, size, value, (int) hpa & 0xfff);
      return;
    }
    tlb.fill(space, which, linear, translation, memory);
    if (watch != null) {
      watched(linear, size, true, which, access);
    }
    ByteBuffer bank = memory.bank(hpa);
    if (bank == null || !memory.isBacked(hpa, size)) {
      cpu.platform.deviceWrite(hpa, size, value);
      return;
    }
    Ordered.store(bank, (int) hpa & PhysicalMemory.BANK_MASK, size, value);
    // Whoever marks the page after this reads the code after the store.
    VarHandle.fullFence();
    if (memory.holdsCode(hpa)) {
      codeWrites.codeWritten(hpa, size);
    }
  }

  /**
   * Translates without side effects and without filling the TLB (KVM_TRANSLATE, tracing).
   *
   * @param access {@link Access} bits
   * @return whether a translation exists; details in {@code out}
   */
  public boolean inspect(long linear, int access, Translation out) {
    return walk.walk(context, wrap(linear), access | Access.NO_SIDE_EFFECTS, out);
  }

  /** Loads the PDPTE registers for PAE paging from CR3. False if a reserved bit is set. */
  public boolean loadPdptes(long cr3) {
    if (walk.loadPdptes(context, cr3, context.pdpte, translation)) {
      return true;
    }
    if (translation.outcome != Translation.PAGE_FAULT) {
      nestedFault.access = Access.READ;
      throw nested();
    }
    return false;
  }
}
