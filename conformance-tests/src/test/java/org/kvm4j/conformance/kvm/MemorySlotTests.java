package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeGuest.HOLE;

import java.util.Random;
import java.util.TreeMap;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.MemorySlot;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmUserspaceMemoryRegion;
import org.kvm4j.kvm.uapi.Uapi;

class MemorySlotTests extends KvmContract {

  @EachBackend
  void userSpaceAndGuestShareTheMemoryWithoutCopies() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xa1, 0x00, 0x30, // mov ax, [0x3000]
            0x40, // inc ax
            0xa3, 0x02, 0x30, // mov [0x3002], ax
            0xe6, 0x10, // out 0x10, al
            0xeb, 0xf5); // jmp to the start
    guest.memory.putShort(0x3000, (short) 0x1234);
    guest.run(Exit.IoOut.class);
    assertEquals(0x1235, guest.memory.getShort(0x3002));
    guest.memory.putShort(0x3000, (short) 0x7000);
    guest.run(Exit.IoOut.class);
    assertEquals(0x7001, guest.memory.getShort(0x3002));
  }

  @EachBackend
  void codeThatUserSpaceChangesIsExecutedChanged() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xb0, 0x01, 0xe6, 0x10, 0xeb, 0xfa);
    for (int i = 1; i < 50; i++) {
      guest.memory.putByte(RealModeGuest.CODE + 1, (byte) i);
      assertEquals(i, guest.run(Exit.IoOut.class).value());
    }
  }

  @EachBackend
  void anOverlapIsRefusedAndNamesTheOtherSlot() {
    Vm vm = kvm.createVm();
    MappedMemory memory = MappedMemory.allocate(kernel, 0x4000);
    vm.setUserMemoryRegion(1, 0, 0x1000, 0x2000, memory.address());
    KvmException e =
        refused(Errno.EEXIST, () -> vm.setUserMemoryRegion(2, 0, 0x2000, 0x2000, memory.address()));
    assertTrue(
        e.getMessage().contains("slot 2 [0x2000, 0x4000) overlaps slot 1 [0x1000, 0x3000)"),
        e::getMessage);
    vm.setUserMemoryRegion(2, 0, 0x3000, 0x1000, memory.address());
    vm.setUserMemoryRegion(3, 0, 0, 0x1000, memory.address());
    assertEquals(3, vm.memorySlots().size());
  }

  @EachBackend
  void aMovedSlotIsWhereItWasMovedTo() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xa0, 0x00, 0x00, // mov al, [0]
            0xe6, 0x10, // out 0x10, al
            0xeb, 0xf9); // jmp to the start
    guest.dataAt(0x30000);
    MappedMemory more = guest.memory.add(1, 0x30000, 0x1000, 0);
    more.memory().putByte(0, (byte) 0x77);
    assertEquals(0x77, guest.run(Exit.IoOut.class).value());
    guest.vm.setUserMemoryRegion(1, 0, 0x40000, more);
    assertEquals(new Exit.MmioRead(0x30000, 1), guest.run());
    guest.vcpu.answerMmio(0x66);
    assertEquals(0x66, guest.run(Exit.IoOut.class).value());
    guest.dataAt(0x40000);
    assertEquals(0x77, guest.run(Exit.IoOut.class).value());
    guest.vm.deleteMemoryRegion(1);
    assertEquals(new Exit.MmioRead(0x40000, 1), guest.run());
  }

  @EachBackend
  void aReplacedSlotShowsTheNewMemory() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xa0, 0x00, 0x00, 0xe6, 0x10, 0xeb, 0xf9);
    guest.dataAt(0x30000);
    for (int i = 1; i <= 5; i++) {
      MappedMemory memory = MappedMemory.allocate(kernel, 0x1000);
      memory.memory().putByte(0, (byte) i);
      guest.vm.setUserMemoryRegion(1, 0, 0x30000, memory);
      assertEquals(i, guest.run(Exit.IoOut.class).value());
      guest.vm.deleteMemoryRegion(1);
    }
  }

  @EachBackend
  void twoSlotsMayShowTheSameMemory() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xc6, 0x06, 0x05, 0x00, 0x42, // mov byte [5], 0x42
            0xf4); // hlt
    MappedMemory memory = MappedMemory.allocate(kernel, 0x1000);
    guest.vm.setUserMemoryRegion(1, 0, 0x30000, memory);
    guest.vm.setUserMemoryRegion(2, 0, 0x50000, memory);
    guest.dataAt(0x50000);
    guest.run(Exit.Hlt.class);
    assertEquals(0x42, memory.memory().getByte(5));
  }

  @EachBackend
  void manySlotsWork() {
    Vm vm = kvm.createVm();
    MappedMemory memory = MappedMemory.allocate(kernel, 0x1000);
    int count = Math.min(500, vm.checkExtension(Caps.KVM_CAP_NR_MEMSLOTS));
    for (int i = 0; i < count; i++) {
      vm.setUserMemoryRegion(i, 0, 0x100000L * i, memory);
    }
    refused(Errno.EEXIST, () -> vm.setUserMemoryRegion(count, 0, 0, memory));
    for (int i = 0; i < count; i++) {
      vm.deleteMemoryRegion(i);
    }
    refused(Errno.EINVAL, () -> vm.deleteMemoryRegion(0));
  }

  @EachBackend
  void aReadOnlySlotIsReadAndExecutedAndItsWritesExit() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xa0, 0x10, 0x00, // mov al, [0x10]
            0x04, 0x01, // add al, 1
            0xa2, 0x10, 0x00, // mov [0x10], al
            0xa0, 0x10, 0x00, // mov al, [0x10]
            0xe6, 0x10, // out 0x10, al
            0x9a, 0x20, 0x00, 0x00, 0x30, // call 0x3000:0x20
            0xf4); // hlt
    MappedMemory rom = guest.memory.add(1, 0x30000, 0x1000, Uapi.KVM_MEM_READONLY);
    rom.memory().putByte(0x10, (byte) 0x55);
    rom.memory().write(0x20, RealModeGuest.bytes(0xb0, 0x99, 0xe6, 0x11, 0xcb), 0, 5);
    guest.dataAt(0x30000);
    assertEquals(new Exit.MmioWrite(0x30010, 1, 0x56), guest.run());
    assertEquals(0x55, rom.memory().getByte(0x10));
    assertEquals(0x55, guest.run(Exit.IoOut.class).value());
    assertEquals(0x99, guest.run(Exit.IoOut.class).value());
    guest.run(Exit.Hlt.class);
    refused(Errno.EINVAL, () -> guest.vm.setUserMemoryRegion(1, 0, 0x30000, rom));
  }

  @EachBackend
  void memoryThatIsNotMappedIsAcceptedAndFailsTheRunThatTouchesIt() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xa0, 0x00, 0x00, 0xf4);
    guest.dataAt(HOLE);
    guest.vm.setUserMemoryRegion(1, 0, HOLE, 0x1000, 0x1000);
    if (guest.vcpu.runRaw() == 0 && Exit.of(guest.vcpu.runPage()) instanceof Exit.MmioRead) {
      backend.limit(
          "executes real mode in its instruction emulator, which takes such memory for a device");
    }
    guest.regs(r -> r.rip = RealModeGuest.CODE);
    refused(Errno.EFAULT, guest::run);
  }

  /**
   * Random changes of slots against the rules as the API's documentation has them, stated here once
   * more and in another way than any kernel does.
   */
  @EachBackend
  void randomChangesFollowTheRules() {
    Random random = new Random(20240607);
    Vm vm = kvm.createVm();
    MappedMemory memory = MappedMemory.allocate(kernel, 0x20000);
    MappedMemory argument = MappedMemory.allocate(kernel, 4096);
    TreeMap<Integer, MemorySlot> model = new TreeMap<>();
    int slots = vm.checkExtension(Caps.KVM_CAP_NR_MEMSLOTS);
    for (int i = 0; i < 3000; i++) {
      int slot = random.nextInt(50) == 0 ? slots + random.nextInt(2) : random.nextInt(8);
      int flags = random.nextInt(30) == 0 ? 0x10 : random.nextInt(3) == 0 ? random.nextInt(4) : 0;
      long gpa = 0x1000L * random.nextInt(24);
      long size = 0x1000L * random.nextInt(5);
      long hva = memory.address() + 0x1000L * random.nextInt(3);
      switch (random.nextInt(40)) {
        case 0 -> gpa += 1 + random.nextInt(0xfff);
        case 1 -> size += 1 + random.nextInt(0xfff);
        case 2 -> hva += 1 + random.nextInt(0xfff);
        case 3 -> gpa = -0x1000;
        default -> {
          MemorySlot old = model.get(slot);
          if (old != null && random.nextBoolean()) { // Mostly a change that could be allowed.
            size = old.size();
            hva = old.userspaceAddress();
            if (random.nextBoolean()) {
              flags = old.flags() ^ (random.nextInt(4) == 0 ? 2 : random.nextInt(2));
            }
          }
        }
      }
      MemorySlot wanted = new MemorySlot(slot, flags, gpa, size, hva);
      int expected = expected(model, wanted, slots);
      int step = i;
      assertEquals(
          Errno.nameOf(expected),
          Errno.nameOf(set(vm, argument, wanted)),
          () -> "step " + step + ": " + wanted + " onto " + model.values());
      if (expected == 0) {
        if (size == 0) {
          model.remove(slot);
        } else {
          model.put(slot, wanted);
        }
      }
    }
  }

  private static int expected(TreeMap<Integer, MemorySlot> model, MemorySlot wanted, int slots) {
    if (wanted.slot() >= slots
        || (wanted.flags() & ~3) != 0
        || (wanted.guestPhysicalAddress() | wanted.size() | wanted.userspaceAddress()) % 4096 != 0
        || wanted.guestPhysicalAddress() < 0
            && wanted.guestPhysicalAddress() + wanted.size() >= 0
            && wanted.size() != 0) {
      return Errno.EINVAL.result();
    }
    MemorySlot old = model.get(wanted.slot());
    if (wanted.size() == 0) {
      return old == null ? Errno.EINVAL.result() : 0;
    }
    if (old != null
        && (old.size() != wanted.size()
            || old.userspaceAddress() != wanted.userspaceAddress()
            || ((old.flags() ^ wanted.flags()) & Uapi.KVM_MEM_READONLY) != 0)) {
      return Errno.EINVAL.result();
    }
    for (MemorySlot other : model.values()) {
      if (other.slot() != wanted.slot()
          && wanted.guestPhysicalAddress() < other.end()
          && other.guestPhysicalAddress() < wanted.end()) {
        return Errno.EEXIST.result();
      }
    }
    return 0;
  }

  private int set(Vm vm, MappedMemory argument, MemorySlot slot) {
    UserMemory memory = argument.memory();
    memory.putInt(KvmUserspaceMemoryRegion.SLOT, slot.slot());
    memory.putInt(KvmUserspaceMemoryRegion.FLAGS, slot.flags());
    memory.putLong(KvmUserspaceMemoryRegion.GUEST_PHYS_ADDR, slot.guestPhysicalAddress());
    memory.putLong(KvmUserspaceMemoryRegion.MEMORY_SIZE, slot.size());
    memory.putLong(KvmUserspaceMemoryRegion.USERSPACE_ADDR, slot.userspaceAddress());
    return vm.ioctl(Ioctls.KVM_SET_USER_MEMORY_REGION, argument.address());
  }
}
