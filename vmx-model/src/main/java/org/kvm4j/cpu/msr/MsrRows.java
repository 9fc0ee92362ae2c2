package org.kvm4j.cpu.msr;

import java.util.HashMap;
import java.util.Map;
import java.util.function.ToLongFunction;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.profile.Feature;

/** Where rows are added to the table, and what they are made of. */
final class MsrRows {
  static final String ARCHITECTURAL = "IA-32 Architectural MSRs";

  private final Map<Integer, Msr> table = new HashMap<>();

  /** The rows, by index. */
  Map<Integer, Msr> table() {
    return table;
  }

  /**
   * A row.
   *
   * @param source title of the section that tells of it
   */
  void add(
      int index,
      String name,
      String source,
      Msr.Presence presence,
      Msr.Reader reader,
      Msr.Writer writer) {
    Msr old = table.put(index, new Msr(index, name, source, presence, reader, writer));
    if (old != null) {
      throw new IllegalStateException("two rows for " + old);
    }
  }

  static Msr.Presence with(Feature... any) {
    return model -> {
      for (Feature feature : any) {
        if (model.has(feature)) {
          return true;
        }
      }
      return false;
    };
  }

  static boolean refuse(Cpu cpu, long value) {
    return false;
  }

  static boolean ignore(Cpu cpu, long value) {
    return true;
  }

  /** Takes a value that was accepted. */
  interface Setter {
    void set(Cpu cpu, long value);
  }

  static Msr.Writer any(Setter setter) {
    return (cpu, value) -> {
      setter.set(cpu, value);
      return true;
    };
  }

  /** A writer of values without reserved bits. */
  static Msr.Writer bits(long defined, Setter setter) {
    return bitsOf(cpu -> defined, setter);
  }

  /** A writer of values without reserved bits, which are not the same on all processors. */
  static Msr.Writer bitsOf(ToLongFunction<Cpu> defined, Setter setter) {
    return (cpu, value) -> {
      if ((value & ~defined.applyAsLong(cpu)) != 0) {
        return false;
      }
      setter.set(cpu, value);
      return true;
    };
  }

  static Msr.Writer canonical(Setter setter) {
    return (cpu, value) -> {
      if (!cpu.isCanonicalBase(value)) {
        return false;
      }
      setter.set(cpu, value);
      return true;
    };
  }

  static long constant(Cpu cpu, int index, long otherwise) {
    Long value = cpu.model.msrs().get(index);
    return value != null ? value : otherwise;
  }
}
