package org.kvm4j.conformance.guests;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.vmm.Ending;
import org.kvm4j.vmm.boot.BootOptions;
import org.kvm4j.vmm.boot.BootState;
import org.kvm4j.vmm.boot.FlatImage;
import org.kvm4j.vmm.boot.GuestFile;
import org.kvm4j.vmm.boot.GuestImageException;
import org.kvm4j.vmm.demo.DemoGuest;
import org.kvm4j.vmm.memory.GuestRam;

/** A demonstration guest for {@code kvm-user}, the VMM that runs in a Linux under test. */
final class InnerGuest {
  private static final int REGS_SIZE = 144;
  private static final int SREGS_SIZE = 312;
  private static final int TITLE_SIZE = 64;

  /** What {@code kvm-user} gives a guest. */
  private static final int MEMORY_SIZE = 0x100_0000;

  private static final int PAGE_SIZE = 0x1000;

  private InnerGuest() {}

  /** The program {@code kvm-user}: src/test/guests/kvm-user.S, assembled. */
  static byte[] vmm() throws IOException {
    try (InputStream in = InnerGuest.class.getResourceAsStream("kvm-user.bin")) {
      if (in == null) {
        throw new IOException("the build has no kvm-user.bin");
      }
      return in.readAllBytes();
    }
  }

  /** All that is printed of it, from its title to how it ended. */
  static String output(DemoGuest guest) {
    return title(guest)
        + guest.output()
        + "end of the guest: exit %s\n"
            .formatted(guest.ending() == Ending.Kind.DEBUG_EXIT ? "f4" : "05");
  }

  private static String title(DemoGuest guest) {
    return "guest " + guest.name() + "\n";
  }

  /** The guest as a file for {@code kvm-user}: registers, title, and the memory that is not 0. */
  static byte[] file(DemoGuest guest) throws GuestImageException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (Kernel kernel = Kernels.open("emulated");
        Kvm kvm = Kvm.open(kernel);
        Vm vm = kvm.createVm();
        Vcpu vcpu = vm.createVcpu(0)) {
      UserMemory memory = anonymous(kernel, MEMORY_SIZE);
      FlatImage image =
          new FlatImage(
              new GuestFile("kernel", guest.name(), guest.program()),
              guest.mode(),
              guest.address(),
              guest.address());
      BootState state = image.load(new GuestRam(memory, null), BootOptions.NONE);
      Regs regs = state.regs();
      Sregs sregs = vcpu.getSregs();
      state.applyTo(sregs, true);
      UserMemory registers = anonymous(kernel, PAGE_SIZE);
      regs.writeTo(registers, 0);
      sregs.writeTo(registers, REGS_SIZE);
      out.writeBytes(bytes(registers, 0, REGS_SIZE + SREGS_SIZE));
      out.writeBytes(Arrays.copyOf(title(guest).getBytes(US_ASCII), TITLE_SIZE));
      for (int at = 0; at < MEMORY_SIZE; at += PAGE_SIZE) {
        byte[] page = bytes(memory, at, PAGE_SIZE);
        if (!Arrays.equals(page, new byte[PAGE_SIZE])) {
          ByteBuffer piece = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
          out.writeBytes(piece.putLong(at).putLong(PAGE_SIZE).array());
          out.writeBytes(page);
        }
      }
    }
    return out.toByteArray();
  }

  private static UserMemory anonymous(Kernel kernel, int size) {
    long address =
        kernel.mmap(
            size,
            Kernel.PROT_READ | Kernel.PROT_WRITE,
            Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS,
            -1,
            0);
    return kernel.memory(address, size);
  }

  private static byte[] bytes(UserMemory memory, long offset, int length) {
    byte[] bytes = new byte[length];
    memory.read(offset, bytes, 0, length);
    return bytes;
  }
}
