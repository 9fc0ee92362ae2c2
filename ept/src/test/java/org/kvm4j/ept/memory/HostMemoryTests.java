package org.kvm4j.ept.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;
import org.junit.jupiter.api.Test;

class HostMemoryTests {
  @Test
  void isInUseUnlessCheckedMemoryIsAskedFor() {
    boolean little = ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN;
    boolean checked = "checked".equals(System.getProperty("org.kvm4j.memory"));
    assertEquals(little && !checked, HostMemory.IN_USE);
  }

  @Test
  void findsWhatBuffersFindAndTheOtherWayRound() {
    assumeTrue(HostMemory.IN_USE, "memory is checked here");
    ByteBuffer buffer = ByteBuffer.allocateDirect(64).order(ByteOrder.LITTLE_ENDIAN);
    long at = HostMemory.address(buffer) + 3;
    buffer.putLong(3, 0x8877665544332211L);
    assertEquals(0x11, HostMemory.getByte(at));
    assertEquals(0x2211, HostMemory.getShort(at));
    assertEquals(0x44332211, HostMemory.getInt(at));
    assertEquals(0x8877665544332211L, HostMemory.getLong(at));
    HostMemory.putLong(at + 16, 0x0102030405060708L);
    HostMemory.putInt(at + 24, 0x11121314);
    HostMemory.putShort(at + 28, (short) 0x2122);
    HostMemory.putByte(at + 30, (byte) 0x31);
    assertEquals(0x0102030405060708L, buffer.getLong(19));
    assertEquals(0x11121314, buffer.getInt(27));
    assertEquals(0x2122, buffer.getShort(31));
    assertEquals(0x31, buffer.get(33));
    assertEquals(0, buffer.get(34));
  }

  @Test
  void banksTellAddressesOfWholePagesOfTheirsAlone() {
    assumeTrue(HostMemory.IN_USE, "memory is checked here");
    PhysicalMemory memory = new PhysicalMemory(40);
    memory.mapAt(0x10000, 0x3000);
    memory.writeLong(0x12ff8, 0x0123456789abcdefL);
    Bank bank = Objects.requireNonNull(memory.bankOfPage(0x12000));
    assertEquals(
        0x0123456789abcdefL,
        HostMemory.getLong(bank.hostAddress(0x12000 & PhysicalMemory.BANK_MASK) + 0xff8));
    assertNull(memory.bankOfPage(0x13000));
    int end = bank.buffer().capacity();
    assertThrows(IndexOutOfBoundsException.class, () -> bank.hostAddress(end - 0xfff));
    assertThrows(IndexOutOfBoundsException.class, () -> bank.hostAddress(-1));
  }
}
