package org.kvm4j.vmm.demo;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import org.kvm4j.vmm.Ending;
import org.kvm4j.vmm.boot.CpuMode;

/**
 * A demonstration guest: a flat binary, and what it must do. Its source is {@code
 * vmm/src/main/guests/NAME.S}.
 *
 * @param name of its files
 * @param title what it shows, in a few words
 * @param mode the mode that it starts in
 * @param address where it is loaded and starts
 * @param output what it must print
 * @param ending how it must end; with the debug exit, the code must be 0
 * @param bareMetal whether it runs on bare metal, with the processor's VMX for itself
 */
public record DemoGuest(
    String name,
    String title,
    CpuMode mode,
    long address,
    String output,
    Ending.Kind ending,
    boolean bareMetal) {

  /** A guest of a VM. */
  DemoGuest(
      String name, String title, CpuMode mode, long address, String output, Ending.Kind ending) {
    this(name, title, mode, address, output, ending, false);
  }

  private static final long BOOT_SECTOR = 0x7c00;
  private static final long ONE_MEGABYTE = 0x10_0000;

  private static final List<DemoGuest> ALL =
      List.of(
          new DemoGuest(
              "real-hello",
              "real mode: 16 bits at 0000:7C00, as a boot sector",
              CpuMode.REAL,
              BOOT_SECTOR,
              """
              Hello from real mode.
              1 + 2 + ... + 100 = 5050, in segment 2000h.
              """,
              Ending.Kind.HALTED),
          new DemoGuest(
              "protected-mode",
              "real mode to 32-bit protected mode, by its own descriptor table",
              CpuMode.REAL,
              BOOT_SECTOR,
              """
              Protected mode: 32 bits, flat segments.
              0x12345 * 0xabcd = 0xc3785541
              Through a segment with a base: OK
              """,
              Ending.Kind.DEBUG_EXIT),
          new DemoGuest(
              "long-mode",
              "real mode to 64 bits, by its own page tables",
              CpuMode.REAL,
              BOOT_SECTOR,
              """
              Long mode: 64 bits, 4-level paging.
              64 x 64 bits = 0x0121fa00ad77d7422236d88fe5618cf0
              One page, two addresses: kvm4j
              """,
              Ending.Kind.HALTED),
          new DemoGuest(
              "mmio-echo",
              "a device in memory, at 0xd0000000",
              CpuMode.LONG,
              ONE_MEGABYTE,
              """
              The device says ECHO.
              It holds 0x09 bytes: mirrored!
              41 incremented in the device: 0x2a.
              """,
              Ending.Kind.HALTED),
          new DemoGuest(
              "self-modifying",
              "code that changes itself",
              CpuMode.PROTECTED,
              ONE_MEGABYTE,
              """
              An operand that counts: abcdefghij
              The next instruction, changed: 1 + 1 = 2
              One address, two functions: 7,8
              """,
              Ending.Kind.DEBUG_EXIT),
          new DemoGuest(
              "timer",
              "time: the PIT's counter 2 against the TSC",
              CpuMode.PROTECTED,
              ONE_MEGABYTE,
              """
              10 ms by the PIT, and the TSC went on.
              As long again by the TSC alone.
              """,
              Ending.Kind.HALTED),
          new DemoGuest(
              "faults",
              "exceptions that the guest handles: #DE, #UD, #GP, #PF",
              CpuMode.LONG,
              ONE_MEGABYTE,
              """
              1 / 0:            vector 0x00, error 0x0000
              UD2:              vector 0x06, error 0x0000
              selector 0x1230:  vector 0x0d, error 0x1230
              read of nowhere:  vector 0x0e, error 0x0000, CR2 0x0123456008
              write to nowhere: vector 0x0e, error 0x0002, CR2 0x012345600c
              Five faults, all handled.
              """,
              Ending.Kind.DEBUG_EXIT),
          new DemoGuest(
              "interrupts",
              "software interrupts: INT 40h and INT3",
              CpuMode.LONG,
              ONE_MEGABYTE,
              """
              INT 40h prints this.
              INT 40h adds up: 0x0007a314
              INT3 breaks, and goes on behind itself.
              """,
              Ending.Kind.HALTED),
          new DemoGuest(
              "primes",
              "work without exits: the sieve of Eratosthenes",
              CpuMode.LONG,
              ONE_MEGABYTE,
              """
              Primes below 20000: 2262.
              """,
              Ending.Kind.HALTED),
          new DemoGuest(
              "hypervisor",
              "a hypervisor on bare metal: VMXON, VMLAUNCH, exits, VMXOFF",
              CpuMode.LONG,
              ONE_MEGABYTE,
              """
              Hypervisor: in VMX root operation.
              Guest: I run on kvm4j's demo.
              Hypervisor: EPT violation at 0x00200000, which is mapped now.
              Guest: memory is there, and says 42.
              Hypervisor: the guest halts after 0x00000015 exits.
              Hypervisor: VMX operation left.
              """,
              Ending.Kind.DEBUG_EXIT,
              true),
          new DemoGuest(
              "hypervisor-broken",
              "the same with two mistakes: VM entry fails, and kvm4j run tells why",
              CpuMode.LONG,
              ONE_MEGABYTE,
              """
              Hypervisor: in VMX root operation.
              Hypervisor: VMfail, error 0x00000007
              Hypervisor: the entry failed, exit reason 0x80000021
              Guest: I run on kvm4j's demo.
              Hypervisor: EPT violation at 0x00200000, which is mapped now.
              Guest: memory is there, and says 42.
              Hypervisor: the guest halts after 0x00000016 exits.
              Hypervisor: VMX operation left.
              """,
              Ending.Kind.DEBUG_EXIT,
              true));

  /** All of them, in the order in which they are shown. */
  public static List<DemoGuest> all() {
    return ALL;
  }

  /** The program. */
  public byte[] program() {
    String resource = name + ".bin";
    try (InputStream in = DemoGuest.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException("the build has no " + resource);
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
