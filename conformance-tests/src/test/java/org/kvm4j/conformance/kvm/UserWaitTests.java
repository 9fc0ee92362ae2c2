package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.syscall.KernelOptions;

/** UMONITOR, UMWAIT, TPAUSE and their MSR in guests of a processor that has them. */
class UserWaitTests {
  private static final int WAITPKG = 1 << 5;
  private static final int TPAUSE_PORT = 0x10;
  private static final int UD_PORT = 6;
  private static final int GP_PORT = 13;

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

  private int port(boolean told, int... code) {
    List<CpuidEntry> entries = new ArrayList<>(kvm.getSupportedCpuid());
    for (CpuidEntry e : entries) {
      if (e.function == 7 && e.index == 0) {
        assertEquals(WAITPKG, e.ecx & WAITPKG);
        e.ecx = told ? e.ecx : e.ecx & ~WAITPKG;
      }
    }
    RealModeGuest guest = new RealModeGuest(kvm, code);
    guest.memory.putInt(UD_PORT * 4L, 0x2000);
    guest.load(0x2000, 0xe6, UD_PORT, 0xf4); // out 6, al; hlt
    guest.memory.putInt(GP_PORT * 4L, 0x2010);
    guest.load(0x2010, 0xe6, GP_PORT, 0xf4);
    guest.vcpu.setCpuid2(entries);
    return guest.run(Exit.IoOut.class).port();
  }

  @Test
  void a_guest_that_is_told_of_them_has_them() {
    // xor cx, cx; tpause ecx; out 0x10, al; hlt
    int[] code = {0x31, 0xc9, 0x66, 0x0f, 0xae, 0xf1, 0xe6, TPAUSE_PORT, 0xf4};
    assertEquals(TPAUSE_PORT, port(true, code));
    assertEquals(UD_PORT, port(false, code));
  }

  @Test
  void and_the_register_of_their_limit() {
    // mov ecx, 0xe1; mov eax, 0x100; xor edx, edx; wrmsr; out 0x10, al; hlt
    int[] code = {
      0x66,
      0xb9,
      0xe1,
      0,
      0,
      0,
      0x66,
      0xb8,
      0,
      1,
      0,
      0,
      0x66,
      0x31,
      0xd2,
      0x0f,
      0x30,
      0xe6,
      TPAUSE_PORT,
      0xf4
    };
    assertEquals(TPAUSE_PORT, port(true, code));
    assertEquals(GP_PORT, port(false, code));
    code[8] = 2; // a reserved bit
    assertEquals(GP_PORT, port(true, code));
  }
}
