package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.kvm.Refusals.refusal;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Supplier;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/** Every struct value loses nothing between memory and Java. */
class UapiStructProperties {

  static final List<Supplier<UapiStruct>> STRUCTS =
      List.of(
          Regs::new,
          Segment::new,
          Dtable::new,
          Sregs::new,
          Sregs2::new,
          Fpu::new,
          VcpuEvents::new,
          DebugRegs::new,
          Xcr::new,
          Xcrs::new,
          Xsave::new,
          () -> new Xsave(11008),
          CpuidEntry::new,
          MsrEntry::new,
          GuestDebug::new,
          ClockData::new,
          MachineCheckError::new,
          PicState::new,
          IoapicState::new,
          PitChannel::new,
          PitState::new,
          LapicState::new,
          Irqchip::new,
          IrqRoute::new);

  @Provide
  Arbitrary<Supplier<UapiStruct>> structs() {
    return Arbitraries.of(STRUCTS);
  }

  @Property(tries = 500)
  void bytesSurviveReadingAndWriting(
      @ForAll("structs") Supplier<UapiStruct> struct, @ForAll long seed) {
    UapiStruct value = struct.get();
    byte[] bytes = new byte[value.sizeof()];
    new Random(seed).nextBytes(bytes);
    value.readFrom(new HeapMemory(bytes), 0);

    int before = 3;
    byte[] target = new byte[before + bytes.length + 5];
    Arrays.fill(target, (byte) 0xcc);
    byte[] expected = target.clone();
    System.arraycopy(bytes, 0, expected, before, bytes.length);
    value.writeTo(new HeapMemory(target), before);

    assertArrayEquals(expected, target, () -> value.layout().name());
    assertArrayEquals(bytes, value.toBytes());
    UapiStruct other = struct.get();
    other.readFrom(new HeapMemory(bytes), 0);
    assertEquals(value, other);
    assertEquals(value.hashCode(), other.hashCode());
  }

  @Example
  void sizesAreThoseOfTheLayouts() {
    for (Supplier<UapiStruct> struct : STRUCTS) {
      UapiStruct value = struct.get();
      if (!(value instanceof Xsave)) {
        assertEquals(value.layout().size(), value.sizeof(), value.layout().name());
      }
    }
  }

  @Example
  void aValueTooWideForItsFieldIsRefusedByName() {
    Segment segment = new Segment();
    segment.selector = 0x10000;
    assertTrue(
        refusal(IllegalArgumentException.class, segment::toBytes)
            .contains("selector is 16 bits wide: 0x10000"));
    segment.selector = 0;
    segment.dpl = -1;
    assertTrue(
        refusal(IllegalArgumentException.class, segment::toBytes).contains("dpl is 8 bits wide"));
  }

  @Example
  void textNamesTheFields() {
    Regs regs = new Regs();
    regs.rip = 0xfff0;
    assertTrue(regs.toString().contains("rip=0xfff0"), regs.toString());
  }
}
