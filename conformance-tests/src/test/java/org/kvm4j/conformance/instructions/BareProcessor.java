package org.kvm4j.conformance.instructions;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import org.kvm4j.conformance.instructions.Vectors.Form;
import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.segment.Descriptor;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * An emulated processor at CPL 3, with the pages that the recorder had at the same linear
 * addresses, and the segments of a Linux program. Exceptions are taken as a VM exit would be:
 * before anything of their delivery.
 */
final class BareProcessor implements AutoCloseable {
  /** Ways to run code. */
  enum Way {
    /** As blocks of operations, the specialised ones among them. */
    BLOCKS,
    /** One instruction at a time, each by its handler. */
    STEPS
  }

  private static final int TABLES = 0x100000;
  private static final int GDT = 0x108000;
  private static final int USER_PAGE = 7;
  private static final int CODE32 = 0x23;
  private static final int DATA = 0x2b;
  private static final int CODE64 = 0x33;

  /** Access rights under a null selector. */
  private static final int NULL_SEGMENT = Segment.UNUSABLE;

  /** Instructions after which the code is taken for one that does not end. */
  private static final int LIMIT = 20_000;

  /** Instructions of one run, the jump at the end among them: more than any form has in a block. */
  private static final int BUDGET = 300;

  private final PhysicalMemory memory = new PhysicalMemory(40);
  private final LogicalProcessor processor;
  private final Cpu cpu;
  private final long code;
  private final long window;
  private int exception;
  private boolean stepping;
  private int length;

  BareProcessor(Vectors vectors) {
    code = vectors.code;
    window = vectors.window;
    memory.mapAt(0, 0x200000);
    memory.writeLong(TABLES, TABLES + 0x1000 | USER_PAGE);
    memory.writeLong(TABLES + 0x1000, TABLES + 0x2000 | USER_PAGE);
    memory.writeLong(TABLES + 0x2000, TABLES + 0x3000 | USER_PAGE);
    long data = window & ~0xfffL;
    for (long page : new long[] {code, data, data + 0x1000}) {
      memory.writeLong(TABLES + 0x3000 + (page >> 12) * 8, page | USER_PAGE);
    }
    // The descriptor tables are the processor's own business: no user access.
    memory.writeLong(TABLES + 0x3000 + (GDT >> 12) * 8, GDT | 3);
    memory.writeLong(GDT + (CODE32 & ~7), 0x00cffb000000ffffL);
    memory.writeLong(GDT + (DATA & ~7), 0x00cff3000000ffffL);
    memory.writeLong(GDT + (CODE64 & ~7), 0x00affb000000ffffL);

    processor = new LogicalProcessor(CpuProfiles.named(CpuProfiles.DEFAULT), memory, Platform.NONE);
    cpu = processor.cpu;
    cpu.cr0 =
        ControlBits.CR0_PE
            | ControlBits.CR0_PG
            | ControlBits.CR0_WP
            | ControlBits.CR0_NE
            | ControlBits.CR0_AM;
    cpu.cr3 = TABLES;
    cpu.cr4 = ControlBits.CR4_PAE | ControlBits.CR4_OSFXSR;
    cpu.efer =
        ControlBits.EFER_LME | ControlBits.EFER_LMA | ControlBits.EFER_SCE | ControlBits.EFER_NXE;
    cpu.gdtBase = GDT;
    cpu.gdtLimit = 0x7f;
    cpu.idtLimit = 0;
    cpu.cpl = 3;
    cpu.guest =
        (GuestMode)
            Proxy.newProxyInstance(
                GuestMode.class.getClassLoader(),
                new Class<?>[] {GuestMode.class},
                (proxy, method, args) -> {
                  if (method.getName().equals("exception")) {
                    exception = (int) args[0];
                    cpu.left = true;
                    return true;
                  }
                  if (method.getName().equals("steps")) {
                    return stepping;
                  }
                  if (method.isDefault()) {
                    return InvocationHandler.invokeDefault(proxy, method, args);
                  }
                  Class<?> type = method.getReturnType();
                  return type == boolean.class ? (Object) false : type == long.class ? 0L : null;
                });
  }

  /** Puts code where {@link #run} runs it. */
  void load(Form form) {
    byte[] looped = Arrays.copyOf(form.code(), form.code().length + 2);
    looped[form.code().length] = (byte) 0xeb; // jmp to itself
    looped[form.code().length + 1] = (byte) 0xfe;
    memory.deviceWrite(code, looped, 0, looped.length);
    length = form.code().length;
    cpu.seg[Cpu.CS].set(0, 0, 0, 0);
    segment(Cpu.CS, form.mode() == 64 ? CODE64 : CODE32);
  }

  private void segment(int s, int selector) {
    new Descriptor(selector, 0, memory.readLong(GDT + (selector & ~7)), 0)
        .load(cpu.seg[s], selector);
  }

  /** Runs what was loaded from a state to its end or an exception. */
  State run(State before, Way way) {
    for (int s : new int[] {Cpu.ES, Cpu.SS, Cpu.DS}) {
      segment(s, DATA);
    }
    cpu.seg[Cpu.FS].set(0, 0, 0xffffffffL, NULL_SEGMENT);
    cpu.seg[Cpu.GS].set(0, window, 0xffffffffL, NULL_SEGMENT);
    System.arraycopy(before.r, 0, cpu.r, 0, 16);
    cpu.setRflags(before.flags);
    cpu.rip = before.rip;
    cpu.left = false;
    cpu.pendingDebug = 0;
    cpu.shadow = 0;
    cpu.updateMode();
    memory.fill(window & ~0xfffL, 0x2000, (byte) 0);
    memory.write(window, before.memory);
    exception = State.NONE;
    stepping = way == Way.STEPS;
    long end = code + length;
    int budget = stepping ? 1 : BUDGET;
    for (int n = 0; n < LIMIT && exception == State.NONE && cpu.rip != end; n += budget) {
      processor.engine.run(budget);
    }
    State after = new State(new byte[before.memory.length]);
    System.arraycopy(cpu.r, 0, after.r, 0, 16);
    after.flags = (int) cpu.rflags() & ~(Flags.RF | Flags.VM);
    after.rip = cpu.rip;
    after.exception = exception;
    memory.read(window, after.memory);
    return after;
  }

  @Override
  public void close() {
    processor.close();
  }
}
