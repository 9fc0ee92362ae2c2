package org.kvm4j.conformance.architecture;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.lang.module.FindException;
import java.lang.module.ModuleDescriptor.Provides;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReader;
import java.lang.module.ModuleReference;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * A service is declared twice, for the module path in {@code module-info.java} and for the class
 * path under {@code META-INF/services}: both must say the same.
 */
class ServiceDeclarationTests {
  private static final String SERVICES = "META-INF/services/";

  @TestFactory
  Stream<DynamicTest> moduleAndClassPathDeclareTheSameProviders() {
    List<ModuleReference> modules = ourModules();
    assertFalse(modules.isEmpty(), "no module of ours on the class path");
    return modules.stream()
        .map(
            module ->
                DynamicTest.dynamicTest(
                    module.descriptor().name(),
                    () -> assertEquals(inDescriptor(module), inServiceFiles(module))));
  }

  private static List<ModuleReference> ourModules() {
    List<ModuleReference> found = new ArrayList<>();
    for (String entry :
        System.getProperty("java.class.path").split(Pattern.quote(File.pathSeparator))) {
      try {
        ModuleFinder.of(Path.of(entry)).findAll().stream()
            .filter(module -> module.descriptor().name().startsWith("org.kvm4j."))
            .filter(module -> !module.descriptor().isAutomatic())
            .forEach(found::add);
      } catch (FindException notAModule) {
        // A jar or directory that only works on the class path: not ours.
      }
    }
    return found;
  }

  private static Map<String, List<String>> inDescriptor(ModuleReference module) {
    Map<String, List<String>> providers = new TreeMap<>();
    for (Provides provides : module.descriptor().provides()) {
      providers.put(provides.service(), provides.providers());
    }
    return providers;
  }

  private static Map<String, List<String>> inServiceFiles(ModuleReference module)
      throws IOException {
    Map<String, List<String>> providers = new TreeMap<>();
    try (ModuleReader reader = module.open();
        Stream<String> names = reader.list()) {
      for (String name : names.filter(n -> n.startsWith(SERVICES)).toList()) {
        if (!name.endsWith("/")) {
          try (InputStream in = reader.open(name).orElse(new ByteArrayInputStream(new byte[0]))) {
            providers.put(
                name.substring(SERVICES.length()),
                new String(in.readAllBytes(), UTF_8)
                    .lines()
                    .map(line -> line.replaceFirst("#.*", "").strip())
                    .filter(line -> !line.isEmpty())
                    .toList());
          }
        }
      }
    }
    return providers;
  }
}
