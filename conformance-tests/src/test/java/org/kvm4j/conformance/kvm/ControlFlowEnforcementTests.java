package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.MsrEntry;
import org.kvm4j.kvm.syscall.KernelOptions;

/** CET in guests of a processor that has it: what CPUID says, MSRs, CR4.CET. */
class ControlFlowEnforcementTests {
  private static final int SHADOW_STACKS = 1 << 7;
  private static final int BRANCH_TRACKING = 1 << 20;
  private static final int[] MSRS = {0x6a0, 0x6a2, 0x6a4, 0x6a5, 0x6a6, 0x6a7, 0x6a8};
  private static final int GP_PORT = 13;
  private static final int DONE_PORT = 0x10;

  private final Kvm kvm =
      Kvm.open(
          Kernels.providers().stream()
              .filter(p -> p.name().equals("emulated"))
              .findFirst()
              .orElseThrow()
              .open(KernelOptions.NONE.with(KernelOptions.CPU, "sapphire-rapids")));

  @AfterEach
  void close() {
    kvm.close();
  }

  private RealModeGuest guest(boolean shadowStacks, boolean branchTracking, int... code) {
    RealModeGuest guest = new RealModeGuest(kvm, code);
    List<CpuidEntry> entries = new ArrayList<>(kvm.getSupportedCpuid());
    for (CpuidEntry e : entries) {
      if (e.function == 7 && e.index == 0) {
        assertEquals(SHADOW_STACKS, e.ecx & SHADOW_STACKS);
        assertEquals(BRANCH_TRACKING, e.edx & BRANCH_TRACKING);
        e.ecx = shadowStacks ? e.ecx : e.ecx & ~SHADOW_STACKS;
        e.edx = branchTracking ? e.edx : e.edx & ~BRANCH_TRACKING;
      } else if (e.function == 7 && e.index == 1) {
        assertEquals(0, e.edx & 1 << 18, "supervisor shadow stacks whose switches exits never cut");
      }
    }
    guest.vcpu.setCpuid2(entries);
    guest.memory.putInt(GP_PORT * 4L, 0x2000);
    guest.load(0x2000, 0xe6, GP_PORT, 0xf4); // out 13, al; hlt
    return guest;
  }

  private static int set(RealModeGuest guest, int index, long value) {
    return guest.vcpu.setMsrs(List.of(new MsrEntry(index, value)));
  }

  @Test
  void msrs_are_in_the_list_and_keep_what_they_are_set_to() {
    int[] list = kvm.getMsrIndexList();
    RealModeGuest guest = guest(true, true);
    long value = 0x1000;
    for (int index : MSRS) {
      assertEquals(1, Arrays.stream(list).filter(i -> i == index).count(), () -> "" + index);
      long written = value;
      assertEquals(1, set(guest, index, written), () -> Integer.toHexString(index));
      value += 0x1000;
    }
    value = 0x1000;
    for (int index : MSRS) {
      assertEquals(value, guest.vcpu.getMsr(index));
      value += 0x1000;
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0x6a0, 0x3f, true, true, 1", "0x6a0, 0x40, true, true, 0", // reserved bits
    "0x6a0, 0xc00, true, true, 0", "0x6a2, 0xc00, true, true, 0", // TRACKER and SUPPRESS at once
    "0x6a2, 0x800, true, true, 1", "0x6a2, 0x3, true, true, 1", //
    "0x6a0, 0x3, true, false, 1", "0x6a0, 0x4, true, false, 0", // what CPUID does not tell of
    "0x6a0, 0x3, false, true, 0", "0x6a0, 0x803, false, true, 0", //
    "0x6a0, 0x83c, false, true, 1", "0x6a0, 0x1, false, false, 0", //
    "0x6a7, 0x1004, true, true, 1", "0x6a7, 0x1002, true, true, 0", // alignment
    "0x6a7, 0x1004, false, true, 0", "0x6a8, 0x1001, true, true, 1", //
    "0x6a8, 0x1000, false, true, 0", "0x6a8, 0x1000000000000000, true, true, 0", // canonical
  })
  void what_msrs_take(String index, String value, boolean shadowStacks, boolean tracking, int n) {
    RealModeGuest guest = guest(shadowStacks, tracking);
    assertEquals(n, set(guest, Integer.decode(index), Long.decode(value)));
  }

  @Test
  void without_cet_they_are_0() {
    RealModeGuest guest = guest(false, false);
    for (int index : MSRS) {
      assertEquals(0, guest.vcpu.getMsr(index));
      assertEquals(1, set(guest, index, 0), () -> Integer.toHexString(index));
      assertEquals(0, set(guest, index, 8), () -> Integer.toHexString(index));
    }
  }

  /** CR4.CET := 1, with CR0.WP = 1 or not; the port that the guest ends with. */
  private int port(boolean told, boolean writeProtect) {
    int[] code = {
      0x0f,
      0x20,
      0xc0, // mov eax, cr0
      0x66,
      0x0d,
      0,
      0,
      writeProtect ? 1 : 0,
      0, // or eax, WP
      0x0f,
      0x22,
      0xc0, // mov cr0, eax
      0x0f,
      0x20,
      0xe0, // mov eax, cr4
      0x66,
      0x0d,
      0,
      0,
      0x80,
      0, // or eax, CET
      0x0f,
      0x22,
      0xe0, // mov cr4, eax
      0xe6,
      DONE_PORT,
      0xf4 // out 0x10, al; hlt
    };
    return guest(told, told, code).run(Exit.IoOut.class).port();
  }

  @Test
  void cr4_cet_is_for_guests_that_are_told_and_write_protect_themselves() {
    assertEquals(DONE_PORT, port(true, true));
    assertEquals(GP_PORT, port(true, false));
    assertEquals(GP_PORT, port(false, true));
  }
}
