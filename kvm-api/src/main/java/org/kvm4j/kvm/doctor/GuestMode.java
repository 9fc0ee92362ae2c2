package org.kvm4j.kvm.doctor;

import java.util.Locale;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;

/**
 * A mode of the CPU, with a guest of a few instructions that runs in it, and in no other: its
 * encodings mean something else there, and where there is paging it reads its data through an
 * address that is not the physical one. The guest adds two numbers and writes the sum to a port,
 * again and again.
 */
public enum GuestMode {
  /** Real mode, as at reset. */
  REAL(
      "16-bit real mode",
      "firmware and boot sectors begin in it, and every processor but the first",
      0x2345) {
    @Override
    void load(GuestMemory memory) {
      memory.write(
          CODE,
          bytes(
              "a1 00 60", //    mov ax, [0x6000]
              "05 11 11", //    add ax, 0x1111
              "e7 10", //       again: out 0x10, ax
              "eb fc")); //     jmp again
      memory.putShort(DATA, (short) 0x1234);
    }

    @Override
    void state(Sregs sregs, Regs regs) {
      for (Segment s : dataSegments(sregs)) {
        s.setRealMode(0);
      }
      sregs.cs.setRealMode(0);
    }
  },

  /** Real mode, and from there to 32-bit protected mode. */
  PROTECTED(
      "real mode to 32-bit protected mode",
      "boot loaders go through it, and 32-bit guests without paging stay in it",
      0x23456789) {
    @Override
    void load(GuestMemory memory) {
      memory.write(
          CODE,
          bytes(
              "fa", //                       cli
              "0f 01 16 00 81", //           lgdt [0x8100]
              "0f 20 c0 0c 01 0f 22 c0", //  mov eax, cr0; or al, 1; mov cr0, eax
              "ea 20 10 08 00")); //         jmp 0x08:0x1020
      memory.write(
          CODE + 0x20,
          bytes(
              "66 b8 10 00 8e d8", //  mov ax, 0x10; mov ds, ax
              "a1 00 60 00 00", //     mov eax, [0x6000]
              "05 11 11 11 11", //     add eax, 0x11111111
              "e7 10", //              again: out 0x10, eax
              "eb fc")); //            jmp again
      memory.putInt(DATA, 0x12345678);
      descriptors(memory);
      memory.putShort(GDT + 0x100, (short) 0x17);
      memory.putInt(GDT + 0x102, GDT);
    }

    @Override
    void state(Sregs sregs, Regs regs) {
      REAL.state(sregs, regs);
    }
  },

  /** 32-bit protected mode with paging of two levels. */
  PAGING_32("32-bit paging", "32-bit kernels without PAE run in it", 0x23456789) {
    @Override
    void load(GuestMemory memory) {
      code32(memory);
      memory.putInt(TABLES, TABLES + 0x1000 | PRESENT_WRITABLE_USER);
      for (int page = 0; page < PAGES; page++) {
        memory.putInt(TABLES + 0x1000 + 4 * page, physical(page) | PRESENT_WRITABLE_USER);
      }
    }

    @Override
    void state(Sregs sregs, Regs regs) {
      flat(sregs, 0);
      sregs.cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_PG;
      sregs.cr3 = TABLES;
    }
  },

  /** 32-bit protected mode with PAE paging, of three levels. */
  PAE("32-bit PAE paging", "32-bit kernels with PAE run in it", 0x23456789) {
    @Override
    void load(GuestMemory memory) {
      code32(memory);
      memory.putLong(TABLES, TABLES + 0x1000 | PRESENT);
      memory.putLong(TABLES + 0x1000, TABLES + 0x2000 | PRESENT_WRITABLE_USER);
      pages(memory, TABLES + 0x2000);
    }

    @Override
    void state(Sregs sregs, Regs regs) {
      flat(sregs, 0);
      sregs.cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_PG;
      sregs.cr4 = CR4_PAE;
      sregs.cr3 = TABLES;
    }
  },

  /** 64-bit mode at privilege level 0. */
  LONG_CPL0("64-bit mode, CPL 0", "64-bit kernels run in it", 0x22334455) {
    @Override
    void load(GuestMemory memory) {
      code64(memory);
    }

    @Override
    void state(Sregs sregs, Regs regs) {
      longMode(sregs, 0);
    }
  },

  /** 64-bit mode at privilege level 0, with what a kernel does there. */
  LONG_KERNEL(
      "64-bit mode, CPL 0: interrupt and CMPXCHG16B",
      "operating systems' 64-bit kernels need it: stock Linux does not start without",
      0x22334455) {
    @Override
    void load(GuestMemory memory) {
      code64(memory);
      memory.write(
          CODE,
          bytes(
              "31 c0 31 d2 31 c9", //  xor eax, eax; xor edx, edx; xor ecx, ecx
              "cc", //                 int3: the handler sets ebx to 0x11111111
              "be 10 b0 00 00", //     mov esi, 0xb010
              "48 0f c7 0e", //        cmpxchg16b [rsi]
              "8b 06", //              mov eax, [rsi]
              "05 44 33 22 11", //     add eax, 0x11223344
              "e7 10", //              again: out 0x10, eax
              "eb fc")); //            jmp again
      memory.write(CODE + 0x100, bytes("bb 11 11 11 11", "48 cf")); // mov ebx, ...; iretq
      memory.putLong(IDT + 3 * 16, 0x0000_8e00_0008_0000L | (CODE + 0x100));
    }

    @Override
    void state(Sregs sregs, Regs regs) {
      longMode(sregs, 0);
    }
  },

  /** 64-bit mode at privilege level 3, with I/O privilege. */
  LONG_CPL3("64-bit mode, CPL 3", "64-bit operating systems' programs run in it", 0x22334455) {
    @Override
    void load(GuestMemory memory) {
      code64(memory);
    }

    @Override
    void state(Sregs sregs, Regs regs) {
      longMode(sregs, 3);
      regs.rflags |= IOPL_3;
    }
  };

  /** The port that the guests write to. */
  static final int PORT = 0x10;

  static final int MEMORY = 0x10000;

  // Guest physical addresses.
  private static final int CODE = 0x1000;
  private static final int TABLES = 0x2000;
  private static final int DATA = 0x6000;
  private static final int STACK_TOP = 0x8000;
  private static final int GDT = 0x8000;
  private static final int IDT = 0x9000;
  private static final int TSS = 0xa000;

  /** The page of linear addresses where {@link #DATA} is found, with paging. */
  private static final int DATA_PAGE = 0xb;

  private static final int PAGES = 16;

  // SDM volume 3, 2.5 "Control Registers", 2.2.1 "Extended Feature Enable Register".
  private static final long CR0_PE = 1;
  private static final long CR0_ET = 1 << 4;
  private static final long CR0_NE = 1 << 5;
  private static final long CR0_PG = 1L << 31;
  private static final long CR4_PAE = 1 << 5;
  private static final long EFER_LME = 1 << 8;
  private static final long EFER_LMA = 1 << 10;
  private static final long IOPL_3 = 3 << 12;

  // SDM volume 3, 4 "Paging".
  private static final int PRESENT = 1;
  private static final int PRESENT_WRITABLE_USER = 7;

  private final String title;
  private final String use;
  private final int sum;

  GuestMode(String title, String use, int sum) {
    this.title = title;
    this.use = use;
    this.sum = sum;
  }

  /** For people to read. */
  public String title() {
    return title;
  }

  /** What it is needed for: a clause. */
  public String use() {
    return use;
  }

  /** For programs to read: the constant's name in lower case, with hyphens. */
  public String id() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** What the guest writes to {@link #PORT}: 2 bytes in real mode, else 4. */
  int sum() {
    return sum;
  }

  /** Puts code, data and tables into memory that is zero. */
  abstract void load(GuestMemory memory);

  /** Sets the registers, from what they are after reset. */
  abstract void state(Sregs sregs, Regs regs);

  /** What the instruction pointer, the stack pointer and the flags begin with. */
  static Regs entry() {
    Regs regs = new Regs();
    regs.rip = CODE;
    regs.rsp = STACK_TOP;
    regs.rflags = 2;
    return regs;
  }

  private static void code32(GuestMemory memory) {
    memory.write(
        CODE,
        bytes(
            "a1 00 b0 00 00", //  mov eax, [0xb000]
            "05 11 11 11 11", //  add eax, 0x11111111
            "e7 10", //           again: out 0x10, eax
            "eb fc")); //         jmp again
    memory.putInt(DATA, 0x12345678);
    descriptors(memory);
  }

  private static void code64(GuestMemory memory) {
    memory.write(
        CODE,
        bytes(
            "48 a1 00 b0 00 00 00 00 00 00", //  mov rax, [0xb000]
            "48 c1 e8 20", //                    shr rax, 32
            "05 11 11 11 11", //                 add eax, 0x11111111
            "e7 10", //                          again: out 0x10, eax
            "eb fc")); //                        jmp again
    memory.putLong(DATA, 0x1122334455667788L);
    descriptors(memory);
    memory.putLong(GDT + 0x08, 0x00af_9a00_0000_ffffL); // 64-bit code
    memory.putLong(TABLES, TABLES + 0x1000 | PRESENT_WRITABLE_USER);
    memory.putLong(TABLES + 0x1000, TABLES + 0x2000 | PRESENT_WRITABLE_USER);
    memory.putLong(TABLES + 0x2000, TABLES + 0x3000 | PRESENT_WRITABLE_USER);
    pages(memory, TABLES + 0x3000);
  }

  /** A table of 8-byte entries for the lowest pages. */
  private static void pages(GuestMemory memory, int table) {
    for (int page = 0; page < PAGES; page++) {
      memory.putLong(table + 8 * page, physical(page) | PRESENT_WRITABLE_USER);
    }
  }

  private static int physical(int page) {
    return page == DATA_PAGE ? DATA : page << 12;
  }

  /** Flat 32-bit code at selector 0x08 and data at 0x10. */
  private static void descriptors(GuestMemory memory) {
    memory.putLong(GDT + 0x08, 0x00cf_9a00_0000_ffffL);
    memory.putLong(GDT + 0x10, 0x00cf_9200_0000_ffffL);
  }

  private static void longMode(Sregs sregs, int cpl) {
    flat(sregs, cpl);
    sregs.cs.l = 1;
    sregs.cs.db = 0;
    sregs.cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_PG;
    sregs.cr4 = CR4_PAE;
    sregs.cr3 = TABLES;
    sregs.efer = EFER_LME | EFER_LMA;
  }

  private static void flat(Sregs sregs, int cpl) {
    flat(sregs.cs, 0x08 | cpl, 11, cpl);
    for (Segment s : dataSegments(sregs)) {
      flat(s, 0x10 | cpl, 3, cpl);
    }
    sregs.tr.base = TSS;
    sregs.tr.limit = 0x67;
    sregs.tr.selector = 0x18;
    sregs.tr.type = 11;
    sregs.tr.present = 1;
    sregs.tr.s = 0;
    sregs.tr.unusable = 0;
    sregs.gdt.base = GDT;
    sregs.gdt.limit = 0xff;
    sregs.idt.base = IDT;
    sregs.idt.limit = 0xfff;
  }

  private static void flat(Segment s, int selector, int type, int dpl) {
    s.base = 0;
    s.limit = 0xffff_ffff;
    s.selector = selector;
    s.type = type;
    s.present = 1;
    s.dpl = dpl;
    s.db = 1;
    s.s = 1;
    s.l = 0;
    s.g = 1;
    s.unusable = 0;
  }

  private static Segment[] dataSegments(Sregs sregs) {
    return new Segment[] {sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss};
  }

  private static byte[] bytes(String... hex) {
    String[] parts = String.join(" ", hex).split(" ");
    byte[] bytes = new byte[parts.length];
    for (int i = 0; i < parts.length; i++) {
      bytes[i] = (byte) Integer.parseInt(parts[i], 16);
    }
    return bytes;
  }
}
