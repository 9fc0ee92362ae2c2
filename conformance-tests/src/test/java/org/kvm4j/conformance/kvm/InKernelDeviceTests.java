package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeGuest.HOLE;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.kvm.Bytes;
import org.kvm4j.kvm.CoalescedRing;
import org.kvm4j.kvm.EventFd;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

/** Accesses that the kernel takes without an exit: coalesced writes and eventfds. */
class InKernelDeviceTests extends KvmContract {

  private final List<String> drained = new ArrayList<>();

  private List<String> drain(RealModeGuest guest) {
    drained.clear();
    guest
        .vcpu
        .coalescedRing()
        .drain(
            (address, length, data, pio) ->
                drained.add(String.format("%x/%d=%x%s", address, length, data, pio ? " pio" : "")));
    return drained;
  }

  private RealModeGuest writer() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, // mov eax, 0x12345678
            0xa2, 0x10, 0x00, // mov [0x10], al
            0xa3, 0x12, 0x00, // mov [0x12], ax
            0x66, 0xa3, 0x14, 0x00, // mov [0x14], eax
            0xe7, 0x70, // out 0x70, ax
            0xf4); // hlt
    guest.dataAt(HOLE);
    return guest;
  }

  // --- Coalesced writes

  @EachBackend
  void writesToAZoneAreGatheredInOrder() {
    RealModeGuest guest = writer();
    guest.vm.registerCoalescedMmio(HOLE, 0x1000);
    assertEquals(0x70, guest.run(Exit.IoOut.class).port());
    assertEquals(List.of("20010/1=78", "20012/2=5678", "20014/4=12345678"), drain(guest));
    assertTrue(guest.vcpu.coalescedRing().isEmpty());
  }

  @EachBackend
  void portsAreGatheredToo() {
    backend.needs(kvm, KvmCap.KVM_CAP_COALESCED_PIO);
    RealModeGuest guest = writer();
    guest.vm.registerCoalescedMmio(HOLE, 0x1000);
    guest.vm.registerCoalescedPio(0x70, 2);
    guest.run(Exit.Hlt.class);
    assertEquals(
        List.of("20010/1=78", "20012/2=5678", "20014/4=12345678", "70/2=5678 pio"), drain(guest));
  }

  @EachBackend
  void writesThatDoNotFitTheZoneAndReadsExit() {
    RealModeGuest guest = writer();
    guest.vm.registerCoalescedMmio(HOLE + 0x11, 4);
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0x78), guest.run());
    assertEquals(new Exit.MmioWrite(HOLE + 0x14, 4, 0x12345678), guest.run());
    assertEquals(List.of("20012/2=5678"), drain(guest));

    guest = new RealModeGuest(kvm, 0xa0, 0x10, 0x00, 0xf4); // mov al, [0x10]
    guest.vm.registerCoalescedMmio(HOLE, 0x1000);
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioRead(HOLE + 0x10, 1), guest.run());
  }

  @EachBackend
  void anUnregisteredZoneExitsAgain() {
    RealModeGuest guest = writer();
    guest.vm.registerCoalescedMmio(HOLE, 0x1000);
    guest.vm.unregisterCoalescedMmio(HOLE, 0x1000);
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0x78), guest.run());
    assertEquals(List.of(), drain(guest));
  }

  @EachBackend
  void aFullRingExitsAndGoesOnOnceItIsDrained() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xb9, 0x2c, 0x01, // mov cx, 300
            0xb0, 0x00, // mov al, 0
            0xa2, 0x10, 0x00, // mov [0x10], al
            0xfe, 0xc0, // inc al
            0xe2, 0xf9, // loop back to the mov
            0xf4); // hlt
    guest.dataAt(HOLE);
    guest.vm.registerCoalescedMmio(HOLE, 0x1000);
    int capacity = CoalescedRing.ENTRIES - 1;
    assertEquals(169, capacity);
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, capacity & 0xff), guest.run());
    List<String> first = drain(guest);
    assertEquals(capacity, first.size());
    assertEquals("20010/1=0", first.get(0));
    assertEquals("20010/1=a8", first.get(capacity - 1));
    guest.run(Exit.Hlt.class);
    assertEquals(300 - capacity - 1, drain(guest).size());
  }

  // --- Eventfds

  @EachBackend
  void aWriteToAnIoeventfdCountsAndDoesNotExit() {
    RealModeGuest guest = writer();
    try (EventFd mmio = EventFd.create(kernel);
        EventFd port = EventFd.create(kernel)) {
      guest.vm.ioeventfd(mmio, HOLE + 0x12, 2, 0, 0);
      guest.vm.ioeventfd(port, 0x70, 2, Uapi.KVM_IOEVENTFD_FLAG_PIO, 0);
      assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0x78), guest.run());
      assertEquals(new Exit.MmioWrite(HOLE + 0x14, 4, 0x12345678), guest.run());
      assertTrue(mmio.await(0));
      assertFalse(port.await(0));
      guest.run(Exit.Hlt.class);
      assertEquals(1, mmio.read());
      assertEquals(0, mmio.read());
      assertEquals(1, port.read());
    }
  }

  @EachBackend
  void datamatchAndLengthMustFit() {
    RealModeGuest guest = writer();
    try (EventFd hit = EventFd.create(kernel);
        EventFd miss = EventFd.create(kernel);
        EventFd longer = EventFd.create(kernel)) {
      int match = Uapi.KVM_IOEVENTFD_FLAG_DATAMATCH;
      guest.vm.ioeventfd(miss, HOLE + 0x12, 2, match, 0x5679);
      guest.vm.ioeventfd(hit, HOLE + 0x12, 2, match, 0x5678);
      guest.vm.ioeventfd(longer, HOLE + 0x10, 4, 0, 0);
      assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0x78), guest.run());
      assertEquals(new Exit.MmioWrite(HOLE + 0x14, 4, 0x12345678), guest.run());
      assertEquals(1, hit.read());
      assertEquals(0, miss.read());
      assertEquals(0, longer.read());
    }
  }

  @EachBackend
  void lengthZeroTakesAnyLength() {
    backend.needs(kvm, KvmCap.KVM_CAP_IOEVENTFD_ANY_LENGTH);
    RealModeGuest guest = writer();
    try (EventFd any = EventFd.create(kernel)) {
      guest.vm.ioeventfd(any, HOLE + 0x10, 0, 0, 0);
      guest.vm.ioeventfd(any, HOLE + 0x12, 0, 0, 0);
      guest.vm.ioeventfd(any, HOLE + 0x14, 0, 0, 0);
      assertEquals(new Exit.IoOut(0x70, 2, 1, Bytes.of((byte) 0x78, (byte) 0x56)), guest.run());
      assertEquals(3, any.read());
    }
  }

  @EachBackend
  void theSameTwiceIsRefusedAndDeassigningEndsIt() {
    RealModeGuest guest = writer();
    try (EventFd event = EventFd.create(kernel)) {
      guest.vm.ioeventfd(event, HOLE + 0x10, 1, 0, 0);
      refused(Errno.EEXIST, () -> guest.vm.ioeventfd(event, HOLE + 0x10, 1, 0, 0));
      guest.vm.ioeventfd(event, HOLE + 0x10, 1, Uapi.KVM_IOEVENTFD_FLAG_DEASSIGN, 0);
      refused(
          Errno.ENOENT,
          () -> guest.vm.ioeventfd(event, HOLE + 0x10, 1, Uapi.KVM_IOEVENTFD_FLAG_DEASSIGN, 0));
      assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0x78), guest.run());
      assertEquals(0, event.read());
    }
  }

  @EachBackend
  void readsOfAnIoeventfdExit() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xa0, 0x10, 0x00, 0xf4);
    guest.dataAt(HOLE);
    try (EventFd event = EventFd.create(kernel)) {
      guest.vm.ioeventfd(event, HOLE + 0x10, 1, 0, 0);
      assertEquals(new Exit.MmioRead(HOLE + 0x10, 1), guest.run());
      assertEquals(0, event.read());
    }
  }

  @EachBackend
  void anEventfdCounts() {
    try (EventFd event = EventFd.create(kernel)) {
      assertFalse(event.await(0));
      event.write(3);
      event.write(4);
      assertTrue(event.await(1000));
      assertEquals(7, event.read());
      assertEquals(0, event.read());
      refused(Errno.EINVAL, () -> event.write(-1));
      event.write(-2);
      refused(Errno.EAGAIN, () -> event.write(1));
    }
    try (EventFd semaphore =
        EventFd.create(kernel, 2, Kernel.EFD_SEMAPHORE | Kernel.EFD_NONBLOCK)) {
      assertEquals(1, semaphore.read());
      assertEquals(1, semaphore.read());
      assertEquals(0, semaphore.read());
    }
  }
}
