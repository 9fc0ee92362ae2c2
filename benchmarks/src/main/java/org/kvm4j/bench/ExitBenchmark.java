package org.kvm4j.bench;

import java.util.concurrent.TimeUnit;
import org.kvm4j.kvm.MappedMemory;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * VM exits of the emulated kernel by kind: those that user space sees, each a {@code KVM_RUN}, and
 * those that the module handles, a thousand to a {@code KVM_RUN}.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class ExitBenchmark {
  private static final int THOUSAND = 1000;
  private static final int PAGES = 240;

  /** A guest whose every {@code KVM_RUN} ends with the exit. */
  @State(Scope.Thread)
  @SuppressWarnings("NullAway.Init") // set up by JMH
  public abstract static class Guest {
    ExitLoop loop;
    private final String code;

    Guest(String code) {
      this.code = code;
    }

    /** Makes the guest. */
    @Setup
    public void open() {
      loop = new ExitLoop("emulated", code, 0x2000);
    }

    /** Ends the guest. */
    @TearDown
    public void close() {
      loop.close();
    }
  }

  /** mov [0], al where there is no memory; jmp to it. */
  public static class Mmio extends Guest {
    public Mmio() {
      super("a20000ebfb");
    }
  }

  /** The same in 64-bit mode, a store after a load: mov [rdi], eax; mov eax, [rdi]; jmp to it. */
  public static class Mmio64 extends Guest {
    private static final long WITHOUT_MEMORY = 0x10000000;

    public Mmio64() {
      super("89078b07ebfa");
    }

    @Override
    @Setup
    public void open() {
      super.open();
      loop.in64BitMode(WITHOUT_MEMORY);
    }
  }

  /** hlt; jmp to it. */
  public static class Hlt extends Guest {
    public Hlt() {
      super("f4ebfd");
    }
  }

  /** in al, 0x10; jmp to it. */
  public static class In extends Guest {
    public In() {
      super("e410ebfc");
    }
  }

  /**
   * mov si, 1000; again: xor eax, eax; cpuid; dec si; jnz again; out 0x10, al; jmp to the start.
   */
  public static class Cpuid extends Guest {
    public Cpuid() {
      super("bee803" + "6631c00fa24e75f8" + "e610ebf1");
    }
  }

  /** The same without an exit, cpuid being nop; nop: what the loop itself takes. */
  public static class NoExit extends Guest {
    public NoExit() {
      super("bee803" + "6631c090904e75f8" + "e610ebf1");
    }
  }

  /** The same with mov eax, 1; vmcall. */
  public static class Vmcall extends Guest {
    public Vmcall() {
      super("bee803" + "66b8010000000f01c14e75f4" + "e610ebed");
    }
  }

  /** The same with mov ecx, IA32_APIC_BASE; rdmsr. */
  public static class Rdmsr extends Guest {
    public Rdmsr() {
      super("bee803" + "66b91b0000000f324e75f5" + "e610ebee");
    }
  }

  /**
   * mov bx, 0x1000; again: mov es, bx; mov es:[0], al; add bx, 0x100; cmp bx, 0; jnz again; out
   * 0x10, al; jmp to the start: a store to each of 240 pages, which are new each time.
   */
  public static class FreshPages extends Guest {
    private static final int SLOT = 1;

    @SuppressWarnings("NullAway.Init") // set up by JMH
    private MappedMemory pages;

    public FreshPages() {
      super("bb0010" + "8ec326a2000081c3000183fb0075f1" + "e610ebea");
    }

    /** Takes away what the module has mapped. */
    @Setup(Level.Invocation)
    public void renew() {
      if (pages == null) {
        pages = MappedMemory.allocate(loop.kernel, PAGES * 4096L);
      } else {
        loop.vm.deleteMemoryRegion(SLOT);
      }
      loop.vm.setUserMemoryRegion(SLOT, 0, 0x10000, pages);
    }
  }

  @Benchmark
  public int mmioWrite(Mmio guest) {
    return guest.loop.vcpu.runRaw();
  }

  @Benchmark
  public int mmio64(Mmio64 guest) {
    return guest.loop.vcpu.runRaw();
  }

  @Benchmark
  public int hlt(Hlt guest) {
    return guest.loop.vcpu.runRaw();
  }

  @Benchmark
  public int in(In guest) {
    return guest.loop.vcpu.runRaw();
  }

  @Benchmark
  @OperationsPerInvocation(THOUSAND)
  public int cpuid(Cpuid guest) {
    return guest.loop.vcpu.runRaw();
  }

  @Benchmark
  @OperationsPerInvocation(THOUSAND)
  public int noExit(NoExit guest) {
    return guest.loop.vcpu.runRaw();
  }

  @Benchmark
  @OperationsPerInvocation(THOUSAND)
  public int hypercall(Vmcall guest) {
    return guest.loop.vcpu.runRaw();
  }

  @Benchmark
  @OperationsPerInvocation(THOUSAND)
  public int rdmsr(Rdmsr guest) {
    return guest.loop.vcpu.runRaw();
  }

  /** An EPT violation and what maps the page. */
  @Benchmark
  @OperationsPerInvocation(PAGES)
  public int freshPage(FreshPages guest) {
    return guest.loop.vcpu.runRaw();
  }
}
