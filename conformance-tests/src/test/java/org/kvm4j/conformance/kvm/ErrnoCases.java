package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.abort;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmClockData;
import org.kvm4j.kvm.uapi.KvmCoalescedMmioZone;
import org.kvm4j.kvm.uapi.KvmCpuid2;
import org.kvm4j.kvm.uapi.KvmDebugregs;
import org.kvm4j.kvm.uapi.KvmFpu;
import org.kvm4j.kvm.uapi.KvmIoctl;
import org.kvm4j.kvm.uapi.KvmReinjectControl;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * What the rows of the table of measured results do: each sets up what it needs on a VM of its own.
 */
final class ErrnoCases {
  /** What a row does. */
  interface Action {
    long run(ErrnoReplay r);
  }

  /**
   * @param subject the ioctl that the row is about, whose capability tells whether it is there
   */
  record Case(@Nullable KvmIoctl subject, Action action) {}

  private static final Map<String, Case> CASES = new LinkedHashMap<>();

  /** The cases by their rows' text. */
  static Map<String, Case> all() {
    return Collections.unmodifiableMap(CASES);
  }

  private static void row(String text, KvmIoctl subject, Action action) {
    Case old = CASES.put(text, new Case(subject, action));
    assertEquals(null, old, text);
  }

  /** Unmapped everywhere. */
  private static final long BAD = 8;

  private static final int UNKNOWN = 0xaeff;
  private static final int FIONREAD = 0x541b;
  private static final int UNKNOWN_MSR = 0x12345678;

  static {
    // The system descriptor.
    row(
        "GET_API_VERSION arg 1",
        KvmIoctl.KVM_GET_API_VERSION,
        r -> r.system(Ioctls.KVM_GET_API_VERSION, 1));
    row("CREATE_VM type 99", KvmIoctl.KVM_CREATE_VM, r -> r.system(Ioctls.KVM_CREATE_VM, 99));
    row("CREATE_VM type 1", KvmIoctl.KVM_CREATE_VM, r -> r.system(Ioctls.KVM_CREATE_VM, 1));
    row(
        "GET_VCPU_MMAP_SIZE arg 1",
        KvmIoctl.KVM_GET_VCPU_MMAP_SIZE,
        r -> r.system(Ioctls.KVM_GET_VCPU_MMAP_SIZE, 1));
    row(
        "GET_MSR_INDEX_LIST bad ptr",
        KvmIoctl.KVM_GET_MSR_INDEX_LIST,
        r -> r.system(Ioctls.KVM_GET_MSR_INDEX_LIST, BAD));
    row(
        "GET_SUPPORTED_CPUID bad ptr",
        KvmIoctl.KVM_GET_SUPPORTED_CPUID,
        r -> r.system(Ioctls.KVM_GET_SUPPORTED_CPUID, BAD));
    row(
        "GET_SUPPORTED_CPUID nent 0",
        KvmIoctl.KVM_GET_SUPPORTED_CPUID,
        r -> {
          r.zeroed(8);
          return r.system(Ioctls.KVM_GET_SUPPORTED_CPUID, r.args());
        });
    row(
        "GET_SUPPORTED_CPUID nent 10000 (buffer smaller)",
        KvmIoctl.KVM_GET_SUPPORTED_CPUID,
        r -> {
          r.zeroed(8).putInt(KvmCpuid2.NENT, 10000);
          return r.system(Ioctls.KVM_GET_SUPPORTED_CPUID, r.args());
        });
    row("KVM_RUN on system fd", KvmIoctl.KVM_RUN, r -> r.system(Ioctls.KVM_RUN, 0));
    row(
        "KVM_CREATE_VCPU on system fd",
        KvmIoctl.KVM_CREATE_VCPU,
        r -> r.system(Ioctls.KVM_CREATE_VCPU, 0));
    row("unknown ioctl 0xAEFF on system fd", KvmIoctl.KVM_RUN, r -> r.system(UNKNOWN, 0));

    // A VM's.
    row(
        "KVM_CHECK_EXTENSION on vcpu-less vm fd",
        KvmIoctl.KVM_CHECK_EXTENSION,
        r -> r.vm(Ioctls.KVM_CHECK_EXTENSION, Caps.KVM_CAP_USER_MEMORY));
    row("KVM_RUN on vm fd", KvmIoctl.KVM_RUN, r -> r.vm(Ioctls.KVM_RUN, 0));
    row("unknown ioctl on vm fd", KvmIoctl.KVM_RUN, r -> r.vm(UNKNOWN, 0));
    row("KVM_GET_REGS on vm fd", KvmIoctl.KVM_GET_REGS, r -> r.vm(Ioctls.KVM_GET_REGS, r.args()));
    row("KVM_CREATE_VM on vm fd", KvmIoctl.KVM_CREATE_VM, r -> r.vm(Ioctls.KVM_CREATE_VM, 0));
    row(
        "KVM_GET_MSR_INDEX_LIST on vm fd",
        KvmIoctl.KVM_GET_MSR_INDEX_LIST,
        r -> r.vm(Ioctls.KVM_GET_MSR_INDEX_LIST, r.args()));

    // Memory slots.
    KvmIoctl region = KvmIoctl.KVM_SET_USER_MEMORY_REGION;
    row(
        "SET_USER_MEMORY_REGION bad ptr",
        region,
        r -> r.vm(Ioctls.KVM_SET_USER_MEMORY_REGION, BAD));
    row("  new slot 9 ok", region, ErrnoReplay::slot9);
    row(
        "  overlapping gpa other slot",
        region,
        r -> {
          r.slot9();
          return r.region(
              10, 0, ErrnoReplay.GPA + 0x2000, ErrnoReplay.SLOT_SIZE, r.memory.address());
        });
    row(
        "  size unaligned",
        region,
        r -> r.region(10, 0, ErrnoReplay.GPA, 0x1001, r.memory.address()));
    row(
        "  gpa unaligned",
        region,
        r -> r.region(10, 0, ErrnoReplay.GPA + 1, 0x1000, r.memory.address()));
    row(
        "  hva unaligned",
        region,
        r -> r.region(10, 0, ErrnoReplay.GPA, 0x1000, r.memory.address() + 1));
    row(
        "  unknown flag 0x10",
        region,
        r -> r.region(10, 0x10, ErrnoReplay.GPA, 0x1000, r.memory.address()));
    row(
        "  slot id 32764 (=NR_MEMSLOTS)",
        region,
        r ->
            r.region(
                r.extension(Caps.KVM_CAP_NR_MEMSLOTS),
                0,
                ErrnoReplay.GPA,
                0x1000,
                r.memory.address()));
    row(
        "  slot id 32763",
        region,
        r ->
            r.region(
                r.extension(Caps.KVM_CAP_NR_MEMSLOTS) - 1,
                0,
                ErrnoReplay.GPA,
                0x1000,
                r.memory.address()));
    row(
        "  address space 1 (slot 0x10000)",
        region,
        r -> r.region(0x10000, 0, ErrnoReplay.GPA, 0x1000, r.memory.address()));
    row("  gpa+size wraps", region, r -> r.region(10, 0, -0x1000, 0x2000, r.memory.address()));
    row(
        "  gpa beyond maxphyaddr 2^52",
        region,
        r -> r.region(10, 0, 1L << 52, 0x1000, r.memory.address()));
    row(
        "  change size of existing slot",
        region,
        r -> {
          r.slot9();
          return r.region(9, 0, ErrnoReplay.GPA, ErrnoReplay.SLOT_SIZE / 2, r.memory.address());
        });
    row(
        "  move existing slot",
        region,
        r -> {
          r.slot9();
          return r.region(9, 0, ErrnoReplay.GPA * 2, ErrnoReplay.SLOT_SIZE, r.memory.address());
        });
    row(
        "  change hva of existing slot",
        region,
        r -> {
          r.slot9();
          return r.region(
              9, 0, ErrnoReplay.GPA, ErrnoReplay.SLOT_SIZE, r.memory.address() + 0x1000);
        });
    row(
        "  toggle READONLY on existing",
        region,
        r -> {
          r.slot9();
          return r.region(
              9, Uapi.KVM_MEM_READONLY, ErrnoReplay.GPA, ErrnoReplay.SLOT_SIZE, r.memory.address());
        });
    row(
        "  set LOG_DIRTY on existing",
        region,
        r -> {
          r.slot9();
          return r.region(
              9,
              Uapi.KVM_MEM_LOG_DIRTY_PAGES,
              ErrnoReplay.GPA,
              ErrnoReplay.SLOT_SIZE,
              r.memory.address());
        });
    row(
        "  delete slot 9 (size 0)",
        region,
        r -> {
          r.slot9();
          return r.region(9, 0, ErrnoReplay.GPA, 0, r.memory.address());
        });
    row(
        "  delete it again",
        region,
        r -> {
          r.slot9();
          r.region(9, 0, ErrnoReplay.GPA, 0, r.memory.address());
          return r.region(9, 0, ErrnoReplay.GPA, 0, r.memory.address());
        });
    row(
        "  delete never-existing slot 77",
        region,
        r -> r.region(77, 0, ErrnoReplay.GPA, 0, r.memory.address()));
    row("  hva not mapped (0x1000)", region, r -> r.region(10, 0, ErrnoReplay.GPA, 0x1000, 0x1000));
    row(
        "  hva kernel address",
        region,
        r -> r.region(10, 0, ErrnoReplay.GPA, 0x1000, 0xffff_8000_0000_0000L));
    row(
        "  size 2^44 pages+",
        region,
        r -> r.region(10, 0, ErrnoReplay.GPA, 1L << 56, r.memory.address()));

    // vCPUs, and what must come before them.
    KvmIoctl create = KvmIoctl.KVM_CREATE_VCPU;
    row("CREATE_VCPU 0", create, r -> r.vm(Ioctls.KVM_CREATE_VCPU, 0));
    row(
        "CREATE_VCPU duplicate id",
        create,
        r -> {
          r.vcpu();
          return r.vm(Ioctls.KVM_CREATE_VCPU, 0);
        });
    row(
        "CREATE_VCPU id 4096 (MAX_VCPU_ID)",
        create,
        r -> r.vm(Ioctls.KVM_CREATE_VCPU, r.extension(Caps.KVM_CAP_MAX_VCPU_ID)));
    row(
        "CREATE_VCPU id 4095",
        create,
        r -> r.vm(Ioctls.KVM_CREATE_VCPU, r.extension(Caps.KVM_CAP_MAX_VCPU_ID) - 1));
    row("CREATE_VCPU id -1", create, r -> r.vm(Ioctls.KVM_CREATE_VCPU, -1));
    row(
        "SET_BOOT_CPU_ID after vcpu",
        KvmIoctl.KVM_SET_BOOT_CPU_ID,
        r -> {
          r.vcpu();
          return r.vm(Ioctls.KVM_SET_BOOT_CPU_ID, 0);
        });
    row(
        "CREATE_IRQCHIP after vcpu",
        KvmIoctl.KVM_CREATE_IRQCHIP,
        r -> {
          r.vcpu();
          return r.vm(Ioctls.KVM_CREATE_IRQCHIP, 0);
        });
    row(
        "SET_TSS_ADDR 0xfffffffe (wraps)",
        KvmIoctl.KVM_SET_TSS_ADDR,
        r -> r.vm(Ioctls.KVM_SET_TSS_ADDR, 0xffff_fffeL));
    row(
        "SET_TSS_ADDR ok",
        KvmIoctl.KVM_SET_TSS_ADDR,
        r -> r.vm(Ioctls.KVM_SET_TSS_ADDR, 0xfffb_d000L));
    row(
        "SET_IDENTITY_MAP_ADDR after vcpu",
        KvmIoctl.KVM_SET_IDENTITY_MAP_ADDR,
        r -> {
          r.vcpu();
          r.zeroed(8).putLong(0, 0xfffb_c000L);
          return r.vm(Ioctls.KVM_SET_IDENTITY_MAP_ADDR, r.args());
        });
    row(
        "SET_IDENTITY_MAP_ADDR bad ptr",
        KvmIoctl.KVM_SET_IDENTITY_MAP_ADDR,
        r -> {
          r.vcpu(); // Which is what is looked at first.
          return r.vm(Ioctls.KVM_SET_IDENTITY_MAP_ADDR, BAD);
        });

    // What needs interrupt chips, without them.
    row("IRQ_LINE without irqchip", KvmIoctl.KVM_IRQ_LINE, r -> r.irqLine(Ioctls.KVM_IRQ_LINE, 5));
    row(
        "IRQ_LINE_STATUS without irqchip",
        KvmIoctl.KVM_IRQ_LINE_STATUS,
        r -> r.irqLine(Ioctls.KVM_IRQ_LINE_STATUS, 5));
    row(
        "GET_IRQCHIP without irqchip",
        KvmIoctl.KVM_GET_IRQCHIP,
        r -> r.irqchip(Ioctls.KVM_GET_IRQCHIP, 0));
    row(
        "SET_IRQCHIP without irqchip",
        KvmIoctl.KVM_SET_IRQCHIP,
        r -> r.irqchip(Ioctls.KVM_SET_IRQCHIP, 0));
    row("GET_PIT2 without pit", KvmIoctl.KVM_GET_PIT2, r -> r.vm(Ioctls.KVM_GET_PIT2, r.args()));
    row("SET_PIT2 without pit", KvmIoctl.KVM_SET_PIT2, r -> r.vm(Ioctls.KVM_SET_PIT2, r.args()));
    row("CREATE_PIT2 without irqchip", KvmIoctl.KVM_CREATE_PIT2, r -> r.pit(0));
    row("SIGNAL_MSI without irqchip", KvmIoctl.KVM_SIGNAL_MSI, r -> r.msi(0));
    row("IRQFD without irqchip", KvmIoctl.KVM_IRQFD, r -> r.irqfd(r.eventfd(), 0));
    row(
        "SET_GSI_ROUTING without irqchip",
        KvmIoctl.KVM_SET_GSI_ROUTING,
        r -> r.routing(1, 0, Uapi.KVM_IRQ_ROUTING_IRQCHIP, 0));
    row(
        "GET_LAPIC without irqchip",
        KvmIoctl.KVM_GET_LAPIC,
        r -> r.vcpu(Ioctls.KVM_GET_LAPIC, r.args()));
    row(
        "SET_LAPIC without irqchip",
        KvmIoctl.KVM_SET_LAPIC,
        r -> r.vcpu(Ioctls.KVM_SET_LAPIC, r.args()));
    row("SET_MP_STATE 1 without irqchip", KvmIoctl.KVM_SET_MP_STATE, r -> r.mpState(1));
    row("SET_MP_STATE 0 without irqchip", KvmIoctl.KVM_SET_MP_STATE, r -> r.mpState(0));
    row("SET_MP_STATE 77", KvmIoctl.KVM_SET_MP_STATE, r -> r.mpState(77));

    // Dirty log, eventfds, coalesced writes.
    KvmIoctl dirty = KvmIoctl.KVM_GET_DIRTY_LOG;
    row("GET_DIRTY_LOG unknown slot", dirty, r -> r.dirtyLog(5, r.memory.address()));
    row(
        "GET_DIRTY_LOG slot without flag",
        dirty,
        r -> {
          r.slot9();
          return r.dirtyLog(9, r.memory.address());
        });
    row(
        "GET_DIRTY_LOG bad bitmap ptr",
        dirty,
        r -> {
          r.region(
              9,
              Uapi.KVM_MEM_LOG_DIRTY_PAGES,
              ErrnoReplay.GPA,
              ErrnoReplay.SLOT_SIZE,
              r.memory.address());
          return r.dirtyLog(9, BAD);
        });
    row("GET_DIRTY_LOG bad ptr", dirty, r -> r.vm(Ioctls.KVM_GET_DIRTY_LOG, BAD));
    KvmIoctl ioeventfd = KvmIoctl.KVM_IOEVENTFD;
    row("IOEVENTFD len 3", ioeventfd, r -> r.ioeventfd(3, r.eventfd(), 0));
    row("IOEVENTFD unknown flag", ioeventfd, r -> r.ioeventfd(4, r.eventfd(), 0x100));
    row("IOEVENTFD bad fd", ioeventfd, r -> r.ioeventfd(4, 9999, 0));
    row("IOEVENTFD fd not eventfd", ioeventfd, r -> r.ioeventfd(4, r.system, 0));
    row(
        "IOEVENTFD deassign absent",
        ioeventfd,
        r -> r.ioeventfd(4, r.eventfd(), Uapi.KVM_IOEVENTFD_FLAG_DEASSIGN));
    row(
        "REGISTER_COALESCED pio=2",
        KvmIoctl.KVM_REGISTER_COALESCED_MMIO,
        r -> {
          UserMemory zone = r.zeroed(KvmCoalescedMmioZone.SIZEOF);
          zone.putInt(KvmCoalescedMmioZone.SIZE, 0x1000);
          zone.putInt(KvmCoalescedMmioZone.PIO, 2);
          return r.vm(Ioctls.KVM_REGISTER_COALESCED_MMIO, r.args());
        });

    // KVM_ENABLE_CAP.
    row("ENABLE_CAP unknown (vm)", KvmIoctl.KVM_ENABLE_CAP, r -> r.enableCap(r.vm(), 9999, 0, 0));
    row(
        "ENABLE_CAP unknown (vcpu)",
        KvmIoctl.KVM_ENABLE_CAP,
        r -> r.enableCap(r.vcpu(), 9999, 0, 0));
    row(
        "ENABLE_CAP SPLIT_IRQCHIP after vcpu",
        KvmIoctl.KVM_CREATE_IRQCHIP,
        r -> {
          r.vcpu();
          return r.enableCap(r.vm(), Caps.KVM_CAP_SPLIT_IRQCHIP, 0, 24);
        });
    row(
        "ENABLE_CAP with flags=1",
        KvmIoctl.KVM_ENABLE_CAP,
        r -> r.enableCap(r.vm(), Caps.KVM_CAP_X86_USER_SPACE_MSR, 1, 0));

    // A vCPU's descriptor.
    row("KVM_RUN arg 1", KvmIoctl.KVM_RUN, r -> r.vcpu(Ioctls.KVM_RUN, 1));
    row("unknown ioctl on vcpu fd", KvmIoctl.KVM_RUN, r -> r.vcpu(UNKNOWN, 0));
    row("non-KVM ioctl (FIONREAD) on vcpu fd", KvmIoctl.KVM_RUN, r -> r.vcpu(FIONREAD, r.args()));
    row("CREATE_VM on vcpu fd", KvmIoctl.KVM_CREATE_VM, r -> r.vcpu(Ioctls.KVM_CREATE_VM, 0));
    row(
        "CHECK_EXTENSION on vcpu fd",
        KvmIoctl.KVM_CHECK_EXTENSION,
        r -> r.vcpu(Ioctls.KVM_CHECK_EXTENSION, 0));
    row("GET_REGS bad ptr", KvmIoctl.KVM_GET_REGS, r -> r.vcpu(Ioctls.KVM_GET_REGS, BAD));
    row("SET_REGS bad ptr", KvmIoctl.KVM_SET_REGS, r -> r.vcpu(Ioctls.KVM_SET_REGS, BAD));
    row("SET_SREGS bad ptr", KvmIoctl.KVM_SET_SREGS, r -> r.vcpu(Ioctls.KVM_SET_SREGS, BAD));
    KvmIoctl sregs = KvmIoctl.KVM_SET_SREGS;
    row("SET_SREGS reserved CR4 bit", sregs, r -> r.sregs(s -> s.cr4 |= 1L << 31));
    row("SET_SREGS PG without PE", sregs, r -> r.sregs(s -> s.cr0 = 0x8000_0010L));
    row("SET_SREGS NW without CD", sregs, r -> r.sregs(s -> s.cr0 = 0x2000_0010L));
    row("SET_SREGS reserved EFER bit", sregs, r -> r.sregs(s -> s.efer |= 1L << 20));
    row("SET_SREGS LMA without LME/PG", sregs, r -> r.sregs(s -> s.efer |= 0x400));
    row(
        "SET_SREGS long mode without PAE",
        sregs,
        r ->
            r.sregs(
                s -> {
                  ErrnoReplay.longMode(s);
                  s.cr4 &= ~0x20L;
                }));
    row("SET_SREGS cr8=16", sregs, r -> r.sregs(s -> s.cr8 = 16));
    row("SET_SREGS reserved apic_base bit", sregs, r -> r.sregs(s -> s.apicBase |= 1L << 60));
    row("SET_SREGS two interrupt bits", sregs, r -> r.sregs(s -> s.interruptBitmap[1] = 3L << 20));
    row(
        "SET_SREGS cs.l and cs.db",
        sregs,
        r ->
            r.sregs(
                s -> {
                  ErrnoReplay.longMode(s);
                  s.cs.db = 1;
                }));
    row(
        "SET_SREGS cr3 reserved bits",
        sregs,
        r ->
            r.sregs(
                s -> {
                  ErrnoReplay.longMode(s);
                  s.cr3 |= 1L << 60;
                }));

    // MSRs and CPUID.
    KvmIoctl getMsrs = KvmIoctl.KVM_GET_MSRS;
    row("GET_MSRS nmsrs 257", getMsrs, r -> r.msrs(r.vcpu(), Ioctls.KVM_GET_MSRS, 257, 0x10));
    row(
        "GET_MSRS nmsrs 256 (index 0)",
        getMsrs,
        r -> r.msrs(r.vcpu(), Ioctls.KVM_GET_MSRS, 256, 0));
    row("GET_MSRS unknown", getMsrs, r -> r.msrs(r.vcpu(), Ioctls.KVM_GET_MSRS, 1, UNKNOWN_MSR));
    row(
        "SET_MSRS unknown",
        KvmIoctl.KVM_SET_MSRS,
        r -> r.msrs(r.vcpu(), Ioctls.KVM_SET_MSRS, 1, UNKNOWN_MSR));
    row("GET_MSRS bad ptr", getMsrs, r -> r.vcpu(Ioctls.KVM_GET_MSRS, BAD));
    row(
        "GET_MSRS on system fd, unknown",
        getMsrs,
        r -> r.msrs(r.system, Ioctls.KVM_GET_MSRS, 1, UNKNOWN_MSR));
    KvmIoctl setCpuid = KvmIoctl.KVM_SET_CPUID2;
    row("SET_CPUID2 nent 257", setCpuid, r -> r.cpuid(Ioctls.KVM_SET_CPUID2, 257));
    row(
        "GET_CPUID2 nent 1",
        KvmIoctl.KVM_GET_CPUID2,
        r -> {
          r.vcpuWithCpuid();
          return r.cpuid(Ioctls.KVM_GET_CPUID2, 1);
        });
    row(
        "  nent after",
        KvmIoctl.KVM_GET_CPUID2,
        r -> {
          r.vcpuWithCpuid();
          r.cpuid(Ioctls.KVM_GET_CPUID2, 1);
          return r.argument.memory().getInt(KvmCpuid2.NENT);
        });
    row("SET_CPUID2 bad ptr", setCpuid, r -> r.vcpu(Ioctls.KVM_SET_CPUID2, BAD));
    row(
        "SET_CPUID2 after KVM_RUN (empty)",
        setCpuid,
        r -> {
          r.runOnce(r::vcpuWithCpuid);
          return r.cpuid(Ioctls.KVM_SET_CPUID2, 0);
        });
    // With all that the kernel supports. The measured host puts leaves of its own into a vCPU's
    // CPUID, so
    // that no list is the same; the rule, which the emulated kernel follows, is that the same list
    // is
    // accepted.
    row(
        "SET_CPUID2 after KVM_RUN (same)",
        setCpuid,
        r -> {
          r.runOnce(r::vcpuWithCpuid);
          return r.setSupportedCpuid();
        });

    // Events and other state.
    row("INTERRUPT 256", KvmIoctl.KVM_INTERRUPT, r -> r.interrupt(256));
    row("INTERRUPT 32", KvmIoctl.KVM_INTERRUPT, r -> r.interrupt(32));
    row(
        "INTERRUPT 32 again",
        KvmIoctl.KVM_INTERRUPT,
        r -> {
          r.interrupt(32);
          return r.interrupt(32);
        });
    KvmIoctl events = KvmIoctl.KVM_SET_VCPU_EVENTS;
    row("SET_VCPU_EVENTS unknown flag", events, r -> r.events(1 << 30, -1));
    row("SET_VCPU_EVENTS exception nr 40", events, r -> r.events(0, 40));
    row("SET_VCPU_EVENTS exception nr 2", events, r -> r.events(0, 2));
    row(
        "SET_DEBUGREGS flags=1",
        KvmIoctl.KVM_SET_DEBUGREGS,
        r -> {
          r.zeroed(KvmDebugregs.SIZEOF).putLong(KvmDebugregs.FLAGS, 1);
          return r.vcpu(Ioctls.KVM_SET_DEBUGREGS, r.args());
        });
    row(
        "SET_DEBUGREGS dr7 high bit",
        KvmIoctl.KVM_SET_DEBUGREGS,
        r -> {
          r.zeroed(KvmDebugregs.SIZEOF).putLong(KvmDebugregs.DR7, 1L << 40);
          return r.vcpu(Ioctls.KVM_SET_DEBUGREGS, r.args());
        });
    row(
        "GET_DEBUGREGS on vm fd",
        KvmIoctl.KVM_GET_DEBUGREGS,
        r -> r.vm(Ioctls.KVM_GET_DEBUGREGS, r.args()));
    row("SET_XCRS nr 17", KvmIoctl.KVM_SET_XCRS, r -> r.xcr0(17, 1));
    row("SET_XCRS xcr0=0", KvmIoctl.KVM_SET_XCRS, r -> r.xcr0(1, 0));
    row("SET_XCRS xcr0=1", KvmIoctl.KVM_SET_XCRS, r -> r.xcr0(1, 1));
    row("SET_XCRS xcr0=7", KvmIoctl.KVM_SET_XCRS, r -> r.xcr0(1, 7));
    row(
        "SET_FPU mxcsr all ones",
        KvmIoctl.KVM_SET_FPU,
        r -> {
          r.zeroed(KvmFpu.SIZEOF).putInt(KvmFpu.MXCSR, -1);
          return r.vcpu(Ioctls.KVM_SET_FPU, r.args());
        });
    row(
        "SET_CLOCK unknown flag",
        KvmIoctl.KVM_SET_CLOCK,
        r -> {
          r.zeroed(KvmClockData.SIZEOF).putInt(KvmClockData.FLAGS, 1 << 20);
          return r.vm(Ioctls.KVM_SET_CLOCK, r.args());
        });
    KvmIoctl debug = KvmIoctl.KVM_SET_GUEST_DEBUG;
    row(
        "SET_GUEST_DEBUG unknown control",
        debug,
        r -> r.guestDebug(Uapi.KVM_GUESTDBG_ENABLE | 1 << 30));
    row(
        "SET_GUEST_DEBUG inject DB",
        debug,
        r -> r.guestDebug(Uapi.KVM_GUESTDBG_ENABLE | Uapi.KVM_GUESTDBG_INJECT_DB));

    // Device attributes and devices.
    KvmIoctl attribute = KvmIoctl.KVM_HAS_DEVICE_ATTR;
    row("HAS_DEVICE_ATTR sys group0 attr0", attribute, r -> r.hasAttribute(r.system, 0));
    row("HAS_DEVICE_ATTR vcpu TSC offset", attribute, r -> r.hasAttribute(r.vcpu(), 0));
    row("HAS_DEVICE_ATTR vcpu group 7", attribute, r -> r.hasAttribute(r.vcpu(), 7));
    row("HAS_DEVICE_ATTR vm", attribute, r -> r.hasAttribute(r.vm(), 0));
    KvmIoctl device = KvmIoctl.KVM_CREATE_DEVICE;
    row("CREATE_DEVICE type 99", device, r -> r.device(99, 0));
    row(
        "CREATE_DEVICE VFIO test flag",
        device,
        r -> r.device(Uapi.KVM_DEV_TYPE_VFIO, Uapi.KVM_CREATE_DEVICE_TEST));
    row("CREATE_DEVICE type 1 (MPIC)", device, r -> r.device(1, 0));
    row(
        "GET_ONE_REG id 0",
        KvmIoctl.KVM_GET_ONE_REG,
        r -> {
          r.zeroed(16);
          return r.vcpu(Ioctls.KVM_GET_ONE_REG, r.args());
        });

    // With interrupt chips.
    irqchipRow("INTERRUPT", KvmIoctl.KVM_INTERRUPT, r -> r.interrupt(32));
    irqchipRow(
        "GET_IRQCHIP id 9", KvmIoctl.KVM_GET_IRQCHIP, r -> r.irqchip(Ioctls.KVM_GET_IRQCHIP, 9));
    irqchipRow(
        "IRQ_LINE gsi 9999", KvmIoctl.KVM_IRQ_LINE, r -> r.irqLine(Ioctls.KVM_IRQ_LINE, 9999));
    irqchipRow("IRQ_LINE bad ptr", KvmIoctl.KVM_IRQ_LINE, r -> r.vm(Ioctls.KVM_IRQ_LINE, BAD));
    KvmIoctl routing = KvmIoctl.KVM_SET_GSI_ROUTING;
    irqchipRow(
        "SET_GSI_ROUTING nr 5000",
        routing,
        r -> r.routing(5000, 0, Uapi.KVM_IRQ_ROUTING_IRQCHIP, 0));
    irqchipRow(
        "SET_GSI_ROUTING flags 1", routing, r -> r.routing(1, 1, Uapi.KVM_IRQ_ROUTING_IRQCHIP, 0));
    irqchipRow("SET_GSI_ROUTING bad type", routing, r -> r.routing(1, 0, 77, 0));
    irqchipRow(
        "SET_GSI_ROUTING bad chip", routing, r -> r.routing(1, 0, Uapi.KVM_IRQ_ROUTING_IRQCHIP, 9));
    irqchipRow(
        "SET_GSI_ROUTING nr 0", routing, r -> r.routing(0, 0, Uapi.KVM_IRQ_ROUTING_IRQCHIP, 0));
    KvmIoctl irqfd = KvmIoctl.KVM_IRQFD;
    irqchipRow("IRQFD bad fd", irqfd, r -> r.irqfd(9999, 0));
    irqchipRow("IRQFD not eventfd", irqfd, r -> r.irqfd(r.system, 0));
    irqchipRow("IRQFD unknown flag", irqfd, r -> r.irqfd(r.eventfd(), 0x100));
    irqchipRow(
        "IRQFD deassign absent", irqfd, r -> r.irqfd(r.eventfd(), Uapi.KVM_IRQFD_FLAG_DEASSIGN));
    irqchipRow("SIGNAL_MSI flags", KvmIoctl.KVM_SIGNAL_MSI, r -> r.msi(0x100));
    irqchipRow("SIGNAL_MSI lapic disabled", KvmIoctl.KVM_SIGNAL_MSI, r -> r.msi(0));
    irqchipRow("SET_MP_STATE 1", KvmIoctl.KVM_SET_MP_STATE, r -> r.mpState(1));
    irqchipRow("SET_MP_STATE 3 (halted)", KvmIoctl.KVM_SET_MP_STATE, r -> r.mpState(3));
    irqchipRow("CREATE_PIT2 flags 2", KvmIoctl.KVM_CREATE_PIT2, r -> r.pit(2));
    irqchipRow(
        "KVM_CREATE_PIT after PIT2",
        KvmIoctl.KVM_CREATE_PIT,
        r -> {
          r.pit(0);
          return r.vm(Ioctls.KVM_CREATE_PIT, 0);
        });
    irqchipRow(
        "GET_PIT",
        KvmIoctl.KVM_GET_PIT,
        r -> {
          r.pit(0);
          return r.vm(Ioctls.KVM_GET_PIT, r.args());
        });
    irqchipRow(
        "REINJECT_CONTROL",
        KvmIoctl.KVM_REINJECT_CONTROL,
        r -> {
          r.pit(0);
          r.zeroed(KvmReinjectControl.SIZEOF);
          return r.vm(Ioctls.KVM_REINJECT_CONTROL, r.args());
        });

    // Mappings and lives.
    row(
        "mmap vcpu fd 20 pages",
        KvmIoctl.KVM_CREATE_VCPU,
        r ->
            r.kernel.mmap(
                20 * 4096, Kernel.PROT_READ | Kernel.PROT_WRITE, Kernel.MAP_SHARED, r.vcpu(), 0));
    row(
        "mmap vm fd",
        KvmIoctl.KVM_CREATE_VM,
        r ->
            r.kernel.mmap(
                4096, Kernel.PROT_READ | Kernel.PROT_WRITE, Kernel.MAP_SHARED, r.vm(), 0));
    row(
        "vcpu ioctl after vm fd closed: GET_REGS",
        KvmIoctl.KVM_GET_REGS,
        r -> {
          int vcpu = r.vcpu();
          r.kernel.close(r.vm());
          return r.kernel.ioctl(vcpu, Ioctls.KVM_GET_REGS, r.args());
        });
    Action fork =
        r ->
            abort(
                r.kernel.name() + ": a JVM cannot fork a child that goes on using its descriptors");
    row("vcpu ioctl from forked child (other mm)", KvmIoctl.KVM_GET_REGS, fork);
    row("vm ioctl from forked child", KvmIoctl.KVM_CREATE_VCPU, fork);
  }

  private static void irqchipRow(String text, KvmIoctl subject, Action action) {
    row(
        "[irqchip] " + text,
        subject,
        r -> {
          if (r.extension(Caps.KVM_CAP_IRQCHIP) == 0) {
            abort(r.kernel.name() + ": in-kernel interrupt chips are not built yet");
          }
          r.irqchip = true;
          r.vcpu();
          return action.run(r);
        });
  }

  private ErrnoCases() {}
}
