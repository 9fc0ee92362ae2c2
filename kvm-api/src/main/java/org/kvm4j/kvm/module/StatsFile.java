package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.LongSupplier;
import org.kvm4j.kvm.module.vendor.VmExit;
import org.kvm4j.kvm.uapi.KvmStatsDesc;
import org.kvm4j.kvm.uapi.KvmStatsHeader;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The binary statistics of a VM or a vCPU: header, id, descriptors, data. Source: Linux
 * Documentation/virt/kvm/api.rst, "KVM_GET_STATS_FD".
 */
final class StatsFile extends FileObject {
  private static final int NAME_SIZE = 48;

  /**
   * @param flags type, unit and base
   */
  private record Stat(String name, int flags, LongSupplier value) {}

  /** Names of Linux's, and the exits that they count. */
  private static final Map<String, VmExit.Kind> LINUX_NAMES =
      Map.of(
          "io_exits", VmExit.Kind.IO,
          "halt_exits", VmExit.Kind.HLT,
          "irq_exits", VmExit.Kind.EXTERNAL_INTERRUPT,
          "irq_window_exits", VmExit.Kind.INTERRUPT_WINDOW,
          "nmi_window_exits", VmExit.Kind.NMI_WINDOW,
          "hypercalls", VmExit.Kind.HYPERCALL,
          "invlpg", VmExit.Kind.INVLPG);

  /** What only grows. */
  private static Stat counter(String name, LongSupplier value) {
    return new Stat(name, Uapi.KVM_STATS_TYPE_CUMULATIVE | Uapi.KVM_STATS_UNIT_NONE, value);
  }

  /** What is so now. */
  private static Stat instant(String name, LongSupplier value) {
    return new Stat(name, Uapi.KVM_STATS_TYPE_INSTANT | Uapi.KVM_STATS_UNIT_NONE, value);
  }

  private final UserSpace user;
  private final String id;
  private final List<Stat> stats;
  private long position;

  private StatsFile(UserSpace user, String id, List<Stat> stats) {
    this.user = user;
    this.id = id;
    this.stats = stats;
  }

  /** The vCPU's: exits in all and by kind, instructions retired, instructions emulated. */
  static StatsFile of(VirtualCpu v, UserSpace user) {
    List<Stat> list = new ArrayList<>();
    list.add(counter("exits", () -> v.stats.total));
    list.add(counter("instructions", () -> v.vendor().cpu().retired()));
    list.add(counter("insn_emulation", () -> v.stats.emulated));
    list.add(counter("signal_exits", () -> v.stats.signals));
    new TreeMap<>(LINUX_NAMES)
        .forEach((name, kind) -> list.add(counter(name, () -> v.stats.exits[kind.ordinal()])));
    for (VmExit.Kind k : VmExit.Kind.values()) {
      list.add(
          counter("exits_" + k.name().toLowerCase(Locale.ROOT), () -> v.stats.exits[k.ordinal()]));
    }
    return new StatsFile(user, "kvm4j/vcpu-" + v.id(), list);
  }

  /** The VM's. */
  static StatsFile of(VmFile vm, UserSpace user) {
    List<Stat> list = new ArrayList<>();
    list.add(instant("vcpus", () -> vm.vcpus.size()));
    list.add(instant("memory_slots", () -> vm.slots.snapshot().length));
    return new StatsFile(user, "kvm4j/vm", list);
  }

  private ByteBuffer image() {
    int descSize = KvmStatsDesc.SIZEOF + NAME_SIZE;
    int idOffset = KvmStatsHeader.SIZEOF;
    int descOffset = idOffset + NAME_SIZE;
    int dataOffset = descOffset + stats.size() * descSize;
    ByteBuffer b = UserSpace.struct(dataOffset + stats.size() * 8);
    b.putInt(KvmStatsHeader.NAME_SIZE, NAME_SIZE);
    b.putInt(KvmStatsHeader.NUM_DESC, stats.size());
    b.putInt(KvmStatsHeader.ID_OFFSET, idOffset);
    b.putInt(KvmStatsHeader.DESC_OFFSET, descOffset);
    b.putInt(KvmStatsHeader.DATA_OFFSET, dataOffset);
    text(b, idOffset, id);
    for (int i = 0; i < stats.size(); i++) {
      int at = descOffset + i * descSize;
      b.putInt(at + KvmStatsDesc.FLAGS, stats.get(i).flags());
      b.putShort(at + KvmStatsDesc.SIZE, (short) 1);
      b.putInt(at + KvmStatsDesc.OFFSET, i * 8);
      text(b, at + KvmStatsDesc.NAME, stats.get(i).name());
      b.putLong(dataOffset + i * 8, stats.get(i).value().getAsLong());
    }
    return b;
  }

  private static void text(ByteBuffer b, int at, String s) {
    byte[] bytes = s.getBytes(StandardCharsets.US_ASCII);
    b.put(at, bytes, 0, Math.min(bytes.length, NAME_SIZE - 1));
  }

  @Override
  synchronized long read(long buffer, long count) {
    long n = pread(buffer, count, position);
    if (n > 0) {
      position += n;
    }
    return n;
  }

  @Override
  long pread(long buffer, long count, long offset) {
    ByteBuffer b = image();
    int n = (int) Math.max(0, Math.min(b.capacity() - offset, count));
    if (n == 0) {
      return 0;
    }
    byte[] part = new byte[n];
    b.get((int) offset, part);
    return user.copyOut(buffer, part, n) ? n : Results.EFAULT;
  }
}
