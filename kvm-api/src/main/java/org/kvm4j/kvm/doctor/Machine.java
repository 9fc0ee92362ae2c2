package org.kvm4j.kvm.doctor;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * What the machine says of itself.
 *
 * @param cpuFlags of {@code /proc/cpuinfo}; none where there is no such file
 * @param kvmModules names of the kernel's KVM modules
 */
record Machine(Set<String> cpuFlags, List<String> kvmModules) {

  static Machine look() {
    return new Machine(readCpuFlags(), readKvmModules());
  }

  boolean hardwareVirtualization() {
    return cpuFlags.contains("vmx") || cpuFlags.contains("svm");
  }

  /** For a report, by name. */
  Map<String, String> facts() {
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("system", property("os.name") + " " + property("os.version"));
    facts.put("architecture", property("os.arch"));
    facts.put("processors", String.valueOf(Runtime.getRuntime().availableProcessors()));
    String shown = cpuFlags.contains("vmx") ? "VT-x" : cpuFlags.contains("svm") ? "AMD-V" : "none";
    facts.put("virtualization", shown + (cpuFlags.contains("hypervisor") ? ", in a VM" : ""));
    facts.put("KVM modules", kvmModules.isEmpty() ? "none" : String.join(", ", kvmModules));
    facts.put("Java", property("java.vm.version") + ", " + property("java.vm.name"));
    return facts;
  }

  private static String property(String name) {
    return System.getProperty(name, "unknown");
  }

  private static Set<String> readCpuFlags() {
    try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.startsWith("flags"))
          .findFirst()
          .map(line -> Set.copyOf(List.of(line.split("[\\s:]+"))))
          .orElse(Set.of());
    } catch (IOException | RuntimeException e) {
      return Set.of();
    }
  }

  private static List<String> readKvmModules() {
    List<String> names = new ArrayList<>();
    try (DirectoryStream<Path> modules =
        Files.newDirectoryStream(Path.of("/sys/module"), "kvm{,_*}")) {
      for (Path module : modules) {
        names.add(String.valueOf(module.getFileName()));
      }
    } catch (IOException | DirectoryIteratorException e) {
      return List.of();
    }
    names.sort(null);
    return names;
  }
}
