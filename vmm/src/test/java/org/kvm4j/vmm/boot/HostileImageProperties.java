package org.kvm4j.vmm.boot;

import java.util.Arrays;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.HeapUserMemory;

/** Whatever is in a file, it is loaded or refused with one line, and nothing else is thrown. */
class HostileImageProperties {

  private static final GuestRam RAM = HeapUserMemory.ram(2 << 20);

  /** Loads it if it can be; true if it could. */
  private static void tryToLoad(byte[] bytes, @Nullable CpuMode mode, int initrdSize) {
    GuestFile initrd =
        initrdSize == 0 ? null : new GuestFile("initrd", "initrd", new byte[initrdSize]);
    try {
      GuestImages.parse(TestImages.file(bytes), mode, null, null)
          .load(RAM, new BootOptions("console=ttyS0", initrd, List.of()))
          .regs();
    } catch (GuestImageException e) {
      String message = String.valueOf(e.getMessage());
      if (message.isBlank() || message.contains("\n")) {
        throw new AssertionError("not one line: " + message, e);
      }
    }
  }

  /** A place in a file and a value of 1, 2, 4 or 8 bytes to put there. */
  private record Spoil(int at, int size, long value) {}

  @Provide
  Arbitrary<Spoil> headerSpoils() {
    Arbitrary<Integer> places =
        Arbitraries.oneOf(
            Arbitraries.integers().between(0x1f0, 0x270), Arbitraries.integers().between(0, 0x180));
    Arbitrary<Long> values =
        Arbitraries.oneOf(
            Arbitraries.of(0L, 1L, -1L, 0x7fff_ffffL, 0x8000_0000L, Long.MAX_VALUE, Long.MIN_VALUE),
            Arbitraries.longs());
    return Combinators.combine(places, Arbitraries.of(1, 2, 4, 8), values).as(Spoil::new);
  }

  private static byte[] spoil(byte[] bytes, List<Spoil> spoils, int length) {
    byte[] copy = Arrays.copyOf(bytes, Math.min(length, bytes.length));
    for (Spoil spoil : spoils) {
      for (int i = 0; i < spoil.size() && spoil.at() + i < copy.length; i++) {
        copy[spoil.at() + i] = (byte) (spoil.value() >>> (8 * i));
      }
    }
    return copy;
  }

  @Property(edgeCases = EdgeCasesMode.NONE)
  void spoilt_linux_images(
      @ForAll("headerSpoils") Spoil first,
      @ForAll("headerSpoils") Spoil second,
      @ForAll @IntRange(max = 0x2000) int length,
      @ForAll boolean whole,
      @ForAll("modes") List<CpuMode> mode,
      @ForAll @IntRange(max = 0x30_0000) int initrdSize) {
    byte[] image = TestImages.linux(0x1000).array();
    tryToLoad(
        spoil(image, List.of(first, second), whole ? image.length : length),
        mode.isEmpty() ? null : mode.get(0),
        initrdSize);
  }

  @Provide
  Arbitrary<List<CpuMode>> modes() {
    return Arbitraries.of(CpuMode.class).list().ofMaxSize(1);
  }

  @Property(edgeCases = EdgeCasesMode.NONE)
  void spoilt_multiboot_kernels(
      @ForAll("headerSpoils") Spoil first,
      @ForAll("headerSpoils") Spoil second,
      @ForAll @IntRange(max = 0x180) int length,
      @ForAll boolean whole) {
    byte[] image = TestImages.multiboot().array();
    tryToLoad(spoil(image, List.of(first, second), whole ? image.length : length), null, 0);
  }

  @Property(edgeCases = EdgeCasesMode.NONE)
  void multiboot_kernels_with_any_addresses(
      @ForAll int header, @ForAll int load, @ForAll int end, @ForAll int bss, @ForAll int entry) {
    byte[] image = new byte[0x100];
    long magic = 0x1bad_b002L;
    List<Spoil> spoils =
        List.of(
            new Spoil(0x20, 4, magic),
            new Spoil(0x24, 4, 0x1_0000),
            new Spoil(0x28, 4, -(magic + 0x1_0000)),
            new Spoil(0x2c, 4, header),
            new Spoil(0x30, 4, load),
            new Spoil(0x34, 4, end),
            new Spoil(0x38, 4, bss),
            new Spoil(0x3c, 4, entry));
    tryToLoad(spoil(image, spoils, image.length), null, 0);
  }

  @Property(edgeCases = EdgeCasesMode.NONE)
  void any_bytes(@ForAll @Size(max = 2000) byte[] bytes, @ForAll("modes") List<CpuMode> mode) {
    if (bytes.length > 0) {
      tryToLoad(bytes, mode.isEmpty() ? null : mode.get(0), 0);
    }
  }
}
